"""The ports of upstreams: calls over HTTP, and the events of their answers."""

from collections.abc import Coroutine
from typing import Any, Protocol

from completions_mw.http import UpstreamRequest, UpstreamResponse
from completions_mw.sse import Event


class Transport(Protocol):
    """Calls upstreams over HTTP."""

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        """Send a request and return when the status and headers of the answer have arrived.

        Raises:
            UpstreamError: the upstream cannot be reached, or its answer is not valid HTTP.
            UpstreamTimeoutError: a deadline passed.
        """
        ...

    async def aclose(self) -> None: ...


class Credentials(Protocol):
    """Adds to each request what proves who sends it, where that is no constant header: a token that expires, or a signature."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Strings in the latest requests that no error may show to a client."""
        ...

    async def authorize(self, request: UpstreamRequest) -> None:
        """Change a finished request into one that its upstream accepts.

        Args:
            request: the request as the wire format made it; only its `headers` are replaced.

        Raises:
            ServiceUnavailableError: there are no credentials now.
        """
        ...


class EventSource(Protocol):
    """The events of one answer, in batches as they arrive. An empty batch means that no event arrived for a while."""

    def __anext__(self) -> Coroutine[Any, Any, list[Event]]: ...

    def detach(self, tick: float) -> None:
        """Go on without the client, which has left: an empty batch after `tick` seconds without news. A model in this process ends."""
        ...

    async def finish(self) -> None:
        """Release the upstream after a complete answer, keeping its connection for other requests if possible."""
        ...

    async def aclose(self) -> None:
        """Stop the answer at any point, and release the upstream. May be called more than once, and before the first event."""
        ...
