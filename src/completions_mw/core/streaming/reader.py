"""The answers of direct calls from Python: typed, and with no other exceptions than HTTP would answer with."""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ValidationError

from completions_mw.core.streaming.chunks import ChunkStream
from completions_mw.errors import GatewayError, InternalError, UpstreamError
from completions_mw.schemas import ChatCompletionChunk
from completions_mw.sse import DONE, Event

AnswerT = TypeVar("AnswerT", bound=BaseModel)


def typed(answer: type[AnswerT], data: Mapping[str, Any]) -> AnswerT:
    """Return an answer, or a chunk of one, as the object that its reader gets.

    Raises:
        UpstreamError: it is not one. What functions of the host app give back was checked before.
    """
    try:
        return answer.model_validate(data)
    except ValidationError:
        problem = "The upstream provider sent an answer that is not a chat completion."
    # Not within the handler: pydantic's error carries the answer.
    raise UpstreamError(problem, code="upstream_protocol_error")


@contextmanager
def as_gateway_errors() -> Iterator[None]:
    """Make every fault of the `with` block the one that HTTP would answer with; what caused it is chained to it.

    Raises:
        InternalError: a fault of ours, or of a function of the host app.
    """
    try:
        yield
    except (GatewayError, StopAsyncIteration):
        raise
    except Exception as error:
        raise InternalError from error


class ChunkReader:
    """The chunks of a direct call, one by one and typed. The request is sent when the first is asked for.

    Also an async context manager: leaving it closes the upstream, wherever the answer was.
    """

    __slots__ = ("_chunks", "_closed", "_open", "_waiting")

    def __init__(self, open: Callable[[], Awaitable[ChunkStream]]) -> None:
        self._open = open
        self._chunks: ChunkStream | None = None
        self._waiting: deque[Event] = deque()
        self._closed = False

    async def __aiter__(self) -> AsyncIterator[ChatCompletionChunk]:
        # A generator, because event loops close those that an `async for` left without a word.
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
                self._chunks = await self._open()
                if self._closed:
                    # It was closed while it was being opened.
                    await self._chunks.aclose()
                    raise StopAsyncIteration
            with as_gateway_errors():
                while not self._waiting:
                    self._waiting.extend(event for event in await self._chunks.__anext__() if event is not DONE)
                return typed(ChatCompletionChunk, self._waiting.popleft().data)
        except (StopAsyncIteration, GatewayError):
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Stop the answer. May be called twice, and before the first chunk."""
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
