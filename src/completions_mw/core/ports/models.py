"""Models inside this process."""

from collections.abc import Callable
from typing import Any, Protocol

from completions_mw.core.ports.upstreams import EventSource
from completions_mw.schemas import ChatRequest

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
