"""The body of an upstream's answer, read chunk by chunk from either of httpcore2's pools."""

from collections.abc import Awaitable
from typing import Final, Protocol

from completions_mw.backends.http.call import DeadlineStream, UpstreamCall
from completions_mw.backends.http.failures import FAILURES, gateway_error, without_message

DRAIN_SECONDS: Final = 0.1
"""Seconds that a complete answer may take to end its body before its connection is closed instead of reused."""


class ChunkSource(Protocol):
    """A response body of httpcore2, chunk by chunk."""

    def next_chunk(self) -> Awaitable[bytes]:
        """Read the next chunk.

        Raises:
            StopAsyncIteration: the body has ended.
        """
        ...

    async def aclose(self, *, ended: bool) -> None:
        """Give the connection back to its pool, or close it.

        Args:
            ended: whether the body was read to its end, so that nothing is left to close.
        """
        ...


class Body:
    """The `UpstreamBody` of both transports.

    Args:
        source: the body as httpcore2 gives it.
        call: the call that is answered: how far the answer has been read.
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
            chunk = await self._source.next_chunk()
            return await self._with_rest_of_batch(chunk) if self._call.consumed(chunk) else chunk
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
        """Return `first` joined with all chunks of the same batch: one piece costs less than many, and these come without a wait."""
        chunks, more = [first], True
        try:
            while more:
                chunk = await self._source.next_chunk()
                more = self._call.consumed(chunk)
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
                await self._source.next_chunk()
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
