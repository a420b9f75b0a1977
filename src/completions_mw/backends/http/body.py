"""The body of an upstream's answer, read chunk by chunk from either of httpcore2's pools."""

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Generator, Iterable
from typing import Protocol, cast

import anyio
import httpcore2

from completions_mw.backends.http.call import UpstreamCall
from completions_mw.backends.http.channel import DeadlineStream
from completions_mw.backends.http.failures import FAILURES, gateway_error, without_message

DRAIN_SECONDS = 0.1
"""How long a complete answer may take to end its body before its connection is closed instead of reused."""


class ChunkSource(Protocol):
    """A response body of httpcore2, chunk by chunk."""

    def __anext__(self) -> Awaitable[bytes]: ...

    async def aclose(self, *, ended: bool) -> None:
        """Give the connection back to its pool, or close it.

        Args:
            ended: whether the body was read to its end, so that nothing is left to close.
        """
        ...


class AsyncChunkSource:
    """A response body of httpcore2's async pool."""

    __slots__ = ("_iterator", "_response")

    def __init__(self, response: httpcore2.Response) -> None:
        self._response = response
        self._iterator = cast("AsyncGenerator[bytes]", cast("AsyncIterable[bytes]", response.stream).__aiter__())

    def __anext__(self) -> Awaitable[bytes]:
        return self._iterator.__anext__()

    async def aclose(self, *, ended: bool) -> None:
        if ended:
            return await self._response.aclose()
        with anyio.CancelScope(shield=True):
            await self._iterator.aclose()
            await self._response.aclose()


class BlockingChunkSource:
    """A response body of httpcore2's blocking pool."""

    __slots__ = ("_iterator", "_response")

    def __init__(self, response: httpcore2.Response) -> None:
        self._response = response
        self._iterator = cast("Generator[bytes]", iter(cast("Iterable[bytes]", response.stream)))

    async def __anext__(self) -> bytes:
        try:
            return next(self._iterator)
        except StopIteration:
            raise StopAsyncIteration from None

    async def aclose(self, *, ended: bool) -> None:
        self._iterator.close()
        self._response.close()


class Body:
    """The `UpstreamBody` of both transports.

    Args:
        source: the body as httpcore2 gives it.
        call: its deadlines, and how far the answer has been read.
        stream: the connection, to wait on.
        tick: seconds of silence after which an empty piece is given; 0: never.
    """

    __slots__ = ("_call", "_closed", "_failure", "_source", "_stream", "_tick")

    def __init__(self, source: ChunkSource, call: UpstreamCall, stream: DeadlineStream, tick: float) -> None:
        self._source = source
        self._call = call
        self._stream = stream
        self._tick = tick
        self._closed = False
        self._failure: Exception | None = None

    async def __anext__(self) -> bytes:
        if self._closed:
            raise StopAsyncIteration
        try:
            if self._failure is not None:
                raise self._failure
            if self._tick and self._call.is_drained() and not await self._stream.wait(self._tick):
                return b""
            chunk = await self._source.__anext__()
            self._call.consumed(chunk)
            return await self._with_rest_of_batch(chunk) if self._call.has_next() else chunk
        except StopAsyncIteration:
            await self._close(ended=True)
            raise
        except FAILURES as error:
            await self.aclose()
            raise gateway_error(error, in_body=True) from without_message(error)
        except BaseException:
            await self.aclose()
            raise

    async def _with_rest_of_batch(self, first: bytes) -> bytes:
        """Return a chunk with all chunks that the network gave together with it: one piece costs less than many, and nobody waits."""
        chunks = [first]
        try:
            while self._call.has_next():
                chunk = await self._source.__anext__()
                self._call.consumed(chunk)
                chunks.append(chunk)
        except FAILURES as error:
            self._failure = error
        return b"".join(chunks)

    async def finish(self) -> None:
        # The client has the whole answer, and may leave while the rest of the body is awaited.
        self._call.connection = None
        ended = False
        try:
            if not self._closed and (not self._call.is_drained() or await self._stream.wait(DRAIN_SECONDS)):
                await self._source.__anext__()
        except StopAsyncIteration:
            ended = True
        except FAILURES:
            pass
        finally:
            await self._close(ended=ended)

    async def aclose(self) -> None:
        await self._close(ended=False)

    async def _close(self, *, ended: bool) -> None:
        if not self._closed:
            self._closed = True
            await self._source.aclose(ended=ended)
