"""Calls to upstreams, and the answers that arrive piece by piece."""

from collections.abc import Coroutine
from typing import Any, Protocol

from completions_mw.http import UpstreamRequest, UpstreamResponse
from completions_mw.sse import Event


class Transport(Protocol):
    """Calls upstreams over HTTP."""

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        """Send `request` and return as soon as the head of the answer is there.

        Raises:
            UpstreamError: the upstream cannot be reached, or does not speak HTTP as it should.
            UpstreamTimeoutError: a deadline passed.
        """
        ...

    async def aclose(self) -> None: ...


class EventSource(Protocol):
    """The events of one answer, in batches as they arrive. An empty batch says: nothing came for one keep-alive interval."""

    def __anext__(self) -> Coroutine[Any, Any, list[Event]]: ...

    async def finish(self) -> None:
        """The answer is complete: release what it used, reusing what can be reused."""
        ...

    async def aclose(self) -> None:
        """Stop the answer wherever it is. May be called twice, and before the first event."""
        ...
