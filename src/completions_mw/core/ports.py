"""Everything that the core needs from the outside world. It awaits nothing else.

Each port has a blocking and an async implementation in `backends/`, with the same names. Blocking ones do their I/O inside
`async def` methods that never suspend (see `core/blocking.py`).
"""

from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, Protocol

from completions_mw.http import UpstreamRequest, UpstreamResponse
from completions_mw.schemas import ChatRequest
from completions_mw.sse import Event


class Clock(NamedTuple):
    """The only source of time."""

    monotonic: Callable[[], float]
    """Seconds; for deadlines and durations."""
    time: Callable[[], float]
    """Seconds since the epoch; for what the wire and the operator see."""


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


ModelFunction = Callable[..., Any]
"""A Python function or generator, sync or async, that answers a `ChatRequest` with text, chunks or a whole completion."""


class Model(Protocol):
    """A model inside this process: a Python function, echo, llama.cpp.

    What it yields may leave out anything that the core can fill in (id, created, model, role, usage).
    """

    async def complete(self, request: ChatRequest) -> dict[str, Any]:
        """Return a `chat.completion` object."""
        ...

    async def stream(self, request: ChatRequest) -> EventSource:
        """Return the answer's `chat.completion.chunk` objects, with `DONE` as the last event."""
        ...

    async def aclose(self) -> None: ...
