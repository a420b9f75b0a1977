"""The protocol of inbound dialects, as the pipeline uses it."""

from typing import Any, Protocol

from completions_mw.core.ports import StoredAnswer
from completions_mw.core.streaming.body import Framing
from completions_mw.core.validation.valid_request import ValidRequest
from completions_mw.errors import GatewayError
from completions_mw.http import Headers, Response
from completions_mw.providers.base import Completion


class Dialect(Framing, Protocol):
    """Reads requests and writes answers, streams and errors in the form that clients of one route use. Holds no state of a request."""

    @property
    def path(self) -> str:
        """Path of the route below the prefix, as `/chat/completions`, to which requests are POSTed."""
        ...

    @property
    def headers(self) -> Headers:
        """Response headers of a whole answer."""
        ...

    @property
    def stream_headers(self) -> Headers:
        """Response headers of a streamed answer."""
        ...

    def parse(self, body: bytes) -> ValidRequest:
        """Return the request in a body.

        Raises:
            InvalidRequestError: the body is not a valid request.
        """
        ...

    def render(self, completion: Completion) -> bytes:
        """Return a whole answer as the body of a response."""
        ...

    def replay(self, answer: StoredAnswer, *, stream: bool, include_usage: bool) -> bytes:
        """Return a stored answer as the body of a response.

        Args:
            answer: the stored answer.
            stream: whether the client asked for a stream, which is returned as a whole.
            include_usage: whether the client asked for usage at the end of the stream.
        """
        ...

    def error_response(self, error: GatewayError) -> Response[Any]:
        """Return the response to a request that failed before its answer began."""
        ...
