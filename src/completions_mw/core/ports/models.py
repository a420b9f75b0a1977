"""The port of models in this process."""

from collections.abc import Callable
from typing import Any, Protocol

from completions_mw.core.ports.upstreams import EventSource
from completions_mw.schemas import ChatRequest, EmbeddingRequest

ModelFunction = Callable[..., Any]
"""A Python function or generator, sync or async, that answers a `ChatRequest` with text, chunks or a whole completion, or an
`EmbeddingRequest` with vectors."""


class Model(Protocol):
    """A model in this process: a Python function, echo, llama.cpp. It is asked for chat completions only, or for embeddings only.

    Its answers may leave out members that the core can add: id, created, model, role and usage.
    """

    async def complete(self, request: ChatRequest) -> dict[str, Any]:
        """Return a whole answer as a `chat.completion` object."""
        ...

    async def stream(self, request: ChatRequest) -> EventSource:
        """Return a streamed answer as `chat.completion.chunk` objects, with `DONE` as the last event."""
        ...

    async def embed(self, request: EmbeddingRequest) -> dict[str, Any]:
        """Return OpenAI's `list` object, with `data` at least: a vector for each input. The core can add all other members.

        Raises:
            InvalidRequestError: the model cannot take the request.
        """
        ...

    async def aclose(self) -> None: ...
