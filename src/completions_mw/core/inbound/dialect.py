"""What the pipeline needs of the dialect of a route."""

from typing import Any, Protocol

from completions_mw.core.streaming.body import Framing
from completions_mw.core.validation.request import Chat
from completions_mw.errors import GatewayError
from completions_mw.http import Headers, Response
from completions_mw.providers.base import Completion


class Dialect(Framing, Protocol):
    """How the clients of one route spell requests, answers, streams and errors. Holds no state of a request."""

    @property
    def path(self) -> str:
        """The route's path below the prefix, as `/chat/completions`; requests are POSTed to it."""
        ...

    @property
    def headers(self) -> Headers:
        """Headers of a whole answer."""
        ...

    @property
    def stream_headers(self) -> Headers:
        """Headers of a streamed answer."""
        ...

    def parse(self, body: bytes) -> Chat:
        """Return the request that stands in a body.

        Raises:
            InvalidRequestError: the body holds none.
        """
        ...

    def render(self, completion: Completion) -> bytes:
        """Return a whole answer as the body of its response."""
        ...

    def error_response(self, error: GatewayError) -> Response[Any]:
        """Return the response to a request that failed before its answer began."""
        ...
