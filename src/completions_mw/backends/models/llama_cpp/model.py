"""llama.cpp in this process as a model, by the package xllamacpp.

llama.cpp pushes its tokens into a callback, so each answer has a thread of its own behind a bounded queue, in the blocking gateway too.
Closing an answer's stream stops the generation at its next token.
"""

from collections.abc import Callable
from typing import Any

from completions_mw.backends.models.llama_cpp.answer import ChoiceReader, total_usage
from completions_mw.backends.models.llama_cpp.embeddings import embedding
from completions_mw.backends.models.llama_cpp.request import call_of, request_body
from completions_mw.backends.models.llama_cpp.server import LlamaServer
from completions_mw.backends.models.stream import ItemSource, ModelStream, collect
from completions_mw.backends.models.thread_source import AsyncThreadSource, BlockingThreadSource, Emit, Produce
from completions_mw.backends.models.threads import ModelThreads, caller_of
from completions_mw.backends.models.vectors import collect_vectors
from completions_mw.core.ports import EventSource
from completions_mw.core.streaming.pieces import usage_chunk
from completions_mw.errors import InvalidRequestError, UpstreamError
from completions_mw.schemas import ChatRequest, EmbeddingRequest
from completions_mw.settings import LlamaCppSettings


class _LlamaCppModel:
    """Base class of both models: everything but how the reader of an answer waits for the thread that generates the answer."""

    def __init__(self, settings: LlamaCppSettings, source: Callable[[Produce, str], ItemSource]) -> None:
        self._server = LlamaServer(settings)
        self._embedding_server = LlamaServer(settings, embeddings=True)
        self._source = source

    async def complete(self, request: ChatRequest) -> dict[str, Any]:
        return await collect(self._start(request), request)

    async def stream(self, request: ChatRequest) -> EventSource:
        return ModelStream(self._start(request), request)

    async def embed(self, request: EmbeddingRequest) -> dict[str, Any]:
        return await collect_vectors(self._source(embedding(self._embedding_server, request), caller_of(request)), request)

    async def aclose(self) -> None:
        """Free the weights; the next request loads them again."""
        self._server.close()
        self._embedding_server.close()

    def _start(self, request: ChatRequest) -> ItemSource:
        return self._source(generation(self._server, request), caller_of(request))


class BlockingLlamaCppModel(_LlamaCppModel):
    """The `Model` port over llama.cpp for a blocking gateway. Under gevent nothing else runs in the process while it generates.

    Args:
        settings: the weights, and how they run.
        keep_alive: seconds of silence after which a stream returns an empty batch; 0: never.
        threads: not used; `AsyncLlamaCppModel` has the same arguments.

    Raises:
        ConfigurationError: the file or the package xllamacpp is missing.
    """

    def __init__(self, settings: LlamaCppSettings, keep_alive: float, threads: ModelThreads | None = None) -> None:
        super().__init__(settings, lambda produce, _: BlockingThreadSource(produce, keep_alive))


class AsyncLlamaCppModel(_LlamaCppModel):
    """The `Model` port over llama.cpp for an async gateway.

    Args:
        settings: the weights, and how they run.
        keep_alive: seconds of silence after which a stream returns an empty batch; 0: never.
        threads: permits to run in a thread; None to run at once.

    Raises:
        ConfigurationError: the file or the package xllamacpp is missing.
    """

    def __init__(self, settings: LlamaCppSettings, keep_alive: float, threads: ModelThreads | None = None) -> None:
        super().__init__(settings, lambda produce, caller: AsyncThreadSource(produce, keep_alive, threads, caller))


def generation(server: LlamaServer, request: ChatRequest) -> Produce:
    """Return the work that answers `request`, choice by choice, in a thread."""
    call = call_of(request)
    bodies = [request_body(request, call, index) for index in range(request.n or 1)]

    def produce(emit: Emit) -> None:
        usages: list[dict[str, Any]] = []
        with server.use() as native:
            for index, body in enumerate(bodies):
                reader = ChoiceReader(index, call)
                if _generate(native, body, reader, emit):
                    return
                usages += [reader.usage] if reader.usage else []
        if len(usages) == len(bodies):
            emit(usage_chunk(total_usage(usages)))

    return produce


def _generate(native: Any, body: dict[str, Any], reader: ChoiceReader, emit: Emit) -> bool:
    """Let llama.cpp write one choice; return whether the reader has left."""
    stopped = False
    failure: BaseException | None = None

    def callback(native_chunk: dict[str, Any]) -> bool:
        nonlocal stopped, failure
        try:
            stopped = any(map(emit, reader.read(native_chunk)))
        except BaseException as error:
            # Raised after the call: llama.cpp swallows exceptions of its callback.
            failure = error
        return stopped or failure is not None

    try:
        native.handle_chat_completions(body, callback)
    except ValueError as error:
        raise InvalidRequestError(str(error)) from error
    except RuntimeError as error:
        raise UpstreamError("The model could not answer.") from error
    if failure:
        raise failure
    return stopped
