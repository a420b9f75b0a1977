"""Answers of direct calls from Python: typed objects, and errors of this package only."""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ValidationError

from completions_mw.blocking import BlockingIterator
from completions_mw.core.context import RequestContext
from completions_mw.core.streaming.body import ChunkSource
from completions_mw.errors import GatewayError, InternalError, UpstreamError
from completions_mw.frames import clear_locals
from completions_mw.schemas import ChatCompletionChunk
from completions_mw.sse import DONE, Event

AnswerT = TypeVar("AnswerT", bound=BaseModel)


def typed(answer: type[AnswerT], data: Mapping[str, Any]) -> AnswerT:
    """Return an answer, or a chunk of one, as an object.

    Raises:
        UpstreamError: an upstream's answer is not valid. Answers of functions of the host app were checked before.
    """
    try:
        return answer.model_validate(data)
    except ValidationError:
        problem = "The upstream provider sent an answer that is not a chat completion."
    # Outside the handler, so that pydantic's error, which holds the answer, is not chained.
    raise UpstreamError(problem, code="upstream_protocol_error")


@contextmanager
def as_gateway_errors() -> Iterator[None]:
    """Turn exceptions of the `with` block that are not errors of this package into `InternalError`, with the cause chained.

    Raises:
        InternalError: a fault of this package or of a function of the host app.
    """
    try:
        yield
    except (GatewayError, StopAsyncIteration):
        raise
    except Exception as error:
        raise InternalError from error


class ChunkReader:
    """The chunks of a direct call, one by one, as objects. The request starts when the first chunk is read.

    Also an async context manager: leaving it closes the upstream at any point of the answer.

    Args:
        open: starts the request.
    """

    __slots__ = ("_chunks", "_closed", "_context", "_open", "_waiting")

    def __init__(self, open: Callable[[], Awaitable[tuple[ChunkSource, RequestContext]]]) -> None:
        self._open = open
        self._context: RequestContext | None = None
        self._chunks: ChunkSource | None = None
        self._waiting: deque[Event] = deque()
        self._closed = False

    @property
    def cached(self) -> bool:
        """Whether the answer comes from the cache, or from the call of an identical request; known with the first chunk."""
        return self._context is not None and self._context.is_from_cache

    @property
    def ignored_params(self) -> tuple[str, ...]:
        """Parameters of the call that no target gets, or that change nothing at the target; known with the first chunk."""
        return () if self._context is None else self._context.ignored

    @property
    def dropped_params(self) -> tuple[str, ...]:
        """Parameters of the call that the target did not get, or got with another value; known with the first chunk."""
        return () if self._context is None else self._context.dropped

    async def __aiter__(self) -> AsyncIterator[ChatCompletionChunk]:
        # A generator, because event loops close generators that an `async for` left early.
        try:
            while True:
                try:
                    chunk = await self.__anext__()
                except StopAsyncIteration:
                    return
                yield chunk
        finally:
            await self.aclose()

    async def __anext__(self) -> ChatCompletionChunk:
        if self._closed:
            raise StopAsyncIteration
        try:
            if self._chunks is None:
                self._chunks, self._context = await self._open()
                if self._closed:
                    # Another task has closed the reader meanwhile.
                    await self._chunks.aclose()
                    raise StopAsyncIteration
            with as_gateway_errors():
                while not self._waiting:
                    self._waiting.extend(event for event in await self._chunks.__anext__() if event is not DONE)
                return typed(ChatCompletionChunk, self._waiting.popleft().data)
        except (StopAsyncIteration, GatewayError) as error:
            clear_locals(error)
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Stop the answer. May be called more than once, and before the first chunk."""
        self._closed = True
        if self._chunks is not None:
            await self._chunks.aclose()

    async def abandon(self) -> None:
        """Close the upstream without asking a store: called by the garbage collector."""
        self._closed = True
        if self._chunks is not None:
            await self._chunks.abandon()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class BlockingChunks(BlockingIterator[ChatCompletionChunk]):
    """The chunks of a direct call in blocking code.

    Args:
        reader: reads the chunks.
    """

    __slots__ = ("_reader",)

    def __init__(self, reader: ChunkReader) -> None:
        super().__init__(reader)
        self._reader = reader

    @property
    def cached(self) -> bool:
        """Whether the answer comes from the cache, or from the call of an identical request; known with the first chunk."""
        return self._reader.cached

    @property
    def ignored_params(self) -> tuple[str, ...]:
        """Parameters of the call that no target gets, or that change nothing at the target; known with the first chunk."""
        return self._reader.ignored_params

    @property
    def dropped_params(self) -> tuple[str, ...]:
        """Parameters of the call that the target did not get, or got with another value; known with the first chunk."""
        return self._reader.dropped_params
