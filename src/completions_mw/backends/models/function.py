"""A Python function or generator as a model: `Gateway(settings, models={"my-bot": function}, embeddings={"my-embed": function})`.

A chat model is called with the `ChatRequest`. It may return one, or yield any number of: text; a dict (a whole completion, a chunk, a delta
or `{"usage": ...}`); pydantic objects of the same shapes, of this library or of openai. An embeddings model is called with the
`EmbeddingRequest`, and returns or yields vectors, or returns a whole answer. A `GatewayError` that the function raises reaches
the client; any other exception is a fault of the host app's code, which the pipeline reports.
"""

from typing import Any

from completions_mw.backends.models.function_source import BlockingFunctionSource, produce, produce_async
from completions_mw.backends.models.stream import ItemSource, ModelStream, collect
from completions_mw.backends.models.task_source import AsyncEmit, AsyncTaskSource
from completions_mw.backends.models.thread_source import AsyncThreadSource, Emit
from completions_mw.backends.models.threads import ModelThreads, caller_of
from completions_mw.backends.models.vectors import collect_vectors
from completions_mw.core.hooks import is_async
from completions_mw.core.ports import EventSource, ModelFunction
from completions_mw.schemas import ChatRequest, EmbeddingRequest
from completions_mw.schemas.base import ModelRequest


class BlockingFunctionModel:
    """The `Model` port over a function, for a blocking gateway.

    It runs inline, so there are no keep-alive ticks while it computes. An async function is accepted as long as it waits for nothing.

    Args:
        function: the model.
        keep_alive: not used; `AsyncFunctionModel` has the same arguments.
        threads: not used either.
    """

    __slots__ = ("_function",)

    def __init__(self, function: ModelFunction, keep_alive: float, threads: ModelThreads | None = None) -> None:
        self._function = function

    async def complete(self, request: ChatRequest) -> dict[str, Any]:
        return await collect(BlockingFunctionSource(self._function, request), request)

    async def stream(self, request: ChatRequest) -> EventSource:
        return ModelStream(BlockingFunctionSource(self._function, request), request)

    async def embed(self, request: EmbeddingRequest) -> dict[str, Any]:
        return await collect_vectors(BlockingFunctionSource(self._function, request), request)

    async def aclose(self) -> None:
        """Do nothing: a function has nothing to free."""


class AsyncFunctionModel:
    """The `Model` port over a function, for an async gateway.

    An async function runs in a task, any other in a thread, so that it never blocks the event loop.

    Args:
        function: the model.
        keep_alive: seconds of silence after which a stream returns an empty batch; 0: never.
        threads: permits to run in a thread; None to run at once.
    """

    __slots__ = ("_function", "_is_async", "_keep_alive", "_threads")

    def __init__(self, function: ModelFunction, keep_alive: float, threads: ModelThreads | None = None) -> None:
        self._function = function
        self._is_async = is_async(function)
        self._keep_alive = keep_alive
        self._threads = threads

    async def complete(self, request: ChatRequest) -> dict[str, Any]:
        return await collect(self._start(request), request)

    async def stream(self, request: ChatRequest) -> EventSource:
        return ModelStream(self._start(request), request)

    async def embed(self, request: EmbeddingRequest) -> dict[str, Any]:
        return await collect_vectors(self._start(request), request)

    async def aclose(self) -> None:
        """Do nothing: a function has nothing to free."""

    def _start(self, request: ModelRequest) -> ItemSource:
        async def in_task(emit: AsyncEmit) -> None:
            await produce_async(self._function(request), emit)

        def in_thread(emit: Emit) -> None:
            produce(self._function(request), emit)

        if self._is_async:
            return AsyncTaskSource(in_task, self._keep_alive)
        return AsyncThreadSource(in_thread, self._keep_alive, self._threads, caller_of(request))
