"""A flight: one call of an upstream whose answer several requests get, each at its own pace."""

from functools import partial
from math import inf
from sys import maxsize
from typing import Protocol

from completions_mw.core.cache.recording import as_sent, usage_event
from completions_mw.core.ports import Steps, StoredAnswer
from completions_mw.core.streaming.chunks import ChunkStream
from completions_mw.errors import ClientDisconnectedError, GatewayError, InternalError, ServiceUnavailableError
from completions_mw.sse import DONE, Event


class FlightCall(Protocol):
    """The call that a flight is about."""

    @property
    def target(self) -> str:
        """`provider/model` of the target that has answered."""
        ...

    async def open(self) -> StoredAnswer | ChunkStream:
        """Begin the call, and return its whole answer or its stream.

        Raises:
            OwnFailureError: the request that began the flight was refused, and another one may begin it anew.
            GatewayError: the upstream failed.
        """
        ...

    async def completed(self, events: list[Event], usage: Event) -> StoredAnswer | None:
        """Store the answer of a stream that is complete, and return the answer; None if it has no other form.

        Args:
            events: all chunks of the stream, or none if the answer was too large to be kept.
            usage: the chunk with the usage.
        """
        ...

    async def failed(self) -> None:
        """Clean up after a call that gave no complete answer."""
        ...

    def abandon(self) -> None:
        """Let what the call holds in a store expire: for the garbage collector, which must not wait for a store."""
        ...


class OwnFailureError(Exception):
    """Failure that belongs to the request that began a flight, such as its spent budget, and not to those that wait for the answer."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


class Flight:
    """One call of an upstream whose answer several requests get, each at its own pace.

    The requests fetch the answer step by step: whoever needs the next chunks makes the step, and the chunks are kept for the others.
    Chunks are kept from the first on as long as the answer is small enough to be stored. Of a larger answer the last chunks are kept, and a
    request that falls behind them is ended.

    Args:
        call: the call.
        steps: runs the steps.
        max_bytes: maximum of bytes of chunks that are kept.
    """

    __slots__ = (
        "_call",
        "_first",
        "_head",
        "_is_shut",
        "_kept",
        "_max_bytes",
        "_size",
        "_sizes",
        "_steps",
        "_stream",
        "_usage",
        "answer",
        "error",
        "has_leader",
        "is_closed",
        "is_over",
        "requests",
    )

    def __init__(self, call: FlightCall, steps: Steps, max_bytes: int) -> None:
        self._call = call
        self._steps = steps
        self._max_bytes = max_bytes
        self._stream: ChunkStream | None = None
        self._kept: list[list[Event]] = []
        """Batches of chunks as they arrived."""
        self._sizes: list[int] = []
        """Bytes of each batch."""
        self._size = 0
        """Bytes of all batches."""
        self._head: Event | None = None
        """The first chunk of all."""
        self._is_shut = False
        self._first = 0
        """Number of batches that are no longer kept."""
        self._usage: Event | None = None
        self.answer: StoredAnswer | None = None
        """The whole answer, once it is complete."""
        self.error: BaseException | None = None
        """Failure of the call. `OwnFailureError` if the requests that wait may begin it anew."""
        self.is_over = False
        """Whether the call has ended: no further chunks arrive."""
        self.is_closed = False
        """Whether all requests have left, or the answer is settled."""
        self.requests = 1
        """Number of requests that get the answer."""
        self.has_leader = True
        """Whether the request that began the flight is one of them."""

    @property
    def can_be_joined(self) -> bool:
        """Whether a further request can get the answer from its first chunk on."""
        return not (self.is_over or self.is_closed or self._first)

    @property
    def target(self) -> str:
        """`provider/model` of the target that has answered."""
        return self._call.target

    @property
    def is_stream(self) -> bool:
        """Whether the call has given a stream, and not a whole answer."""
        return self._stream is not None

    @property
    def has_begun(self) -> bool:
        """Whether the first chunks or the whole answer have arrived, or the call has failed."""
        return bool(self._kept) or self.is_over or self._first > 0

    async def begin(self, seconds: float | None) -> bool:
        """Wait for the first chunks of the answer, or for the whole of it. Return False if the seconds have passed."""
        while not self.has_begun:
            if not await self._steps.run(partial(self._advance, 0), seconds):
                return self.has_begun
        return True

    async def whole(self, seconds: float | None) -> bool:
        """Wait for the whole answer. Return False if the seconds have passed before the next chunks."""
        while not self.is_over:
            if not await self._steps.run(partial(self._advance, maxsize), seconds):
                return self.is_over
        return True

    async def batch(self, position: int, seconds: float | None) -> list[Event]:
        """Return one batch of chunks; an empty one if none has arrived within a keep-alive interval.

        Args:
            position: number of batches that the request has got before.
            seconds: seconds of the keep-alive interval.

        Raises:
            GatewayError: the call failed, or the request has fallen behind.
            StopAsyncIteration: the answer has ended before this batch.
        """
        if position >= self._first + len(self._kept) and not self.is_over:
            await self._steps.run(partial(self._advance, position), seconds)
        at = position - self._first
        if at < 0:
            raise slow_reader_error()
        if at < len(self._kept):
            return self._kept[at]
        if self.error is not None:
            raise self.failure()
        if self.is_over:
            raise StopAsyncIteration
        return []

    @property
    def deadline(self) -> float:
        """When the answer must be complete, in seconds of the monotonic clock."""
        return inf if self._stream is None else self._stream.deadline

    async def check(self) -> None:
        """Close the upstream of a stream of which nobody has asked for more for too long."""
        if self._stream is not None:
            await self._stream.check()

    @property
    def usage(self) -> Event:
        """The chunk with the usage, once the answer is complete."""
        assert self._usage is not None
        return self._usage

    @property
    def head(self) -> Event:
        """The first chunk of all, once it has arrived."""
        assert self._head is not None
        return self._head

    def failure(self) -> BaseException:
        """Return the error of a failed call for one of its requests."""
        error = self.error.error if isinstance(self.error, OwnFailureError) else self.error
        if isinstance(error, GatewayError):
            # A copy for each request, since raising adds to the traceback of an error.
            other = type(error).__new__(type(error), *error.args)
            other.__dict__.update(error.__dict__)
            return other
        return InternalError() if isinstance(error, Exception) else ClientDisconnectedError()

    async def close(self) -> None:
        """Settle an answer that has ended, or stop a call whose answer nobody wants any more."""
        self.is_closed = True
        if not self.is_over:
            self._steps.cancel()
        while not self._is_shut:
            await self._steps.run(self._shut, None)

    async def abandon(self) -> None:
        """Close the upstream without asking a store: for the garbage collector."""
        self.is_closed = self.is_over = self._is_shut = True
        self._call.abandon()
        if self._stream is not None:
            await self._stream.abandon()

    async def _advance(self, position: int) -> None:
        """Begin the call, or wait for its next chunks, unless there are more than `position` batches."""
        if self.is_over or self.is_closed or self._first + len(self._kept) > position:
            return
        try:
            if self._stream is None:
                opened = await self._call.open()
                if isinstance(opened, StoredAnswer):
                    self.answer = opened
                    self.is_over = self._is_shut = True
                    return
                self._stream = opened
            if events := await self._stream.__anext__():
                await self._keep(self._stream, events)
        except BaseException as error:
            # The stream has closed itself.
            self.error = error
            self.is_over = self._is_shut = True
            await self._call.failed()
            if not isinstance(error, Exception):
                raise

    async def _keep(self, stream: ChunkStream, events: list[Event]) -> None:
        sent, size = as_sent(events)
        self._head = self._head or sent[0]
        self._kept.append(sent)
        self._sizes.append(size)
        self._size += size
        if sent[-1] is DONE:
            chunks = [] if self._first else [event for batch in self._kept for event in batch if event is not DONE]
            self._usage = usage_event(self._head, stream.usage())
            self.answer = await self._call.completed(chunks, self._usage)
            self.is_over = True
        while self._size > self._max_bytes and len(self._kept) > 1:
            # The last batch stays, for requests that have not got it yet.
            self._kept.pop(0)
            self._size -= self._sizes.pop(0)
            self._first += 1

    async def _shut(self) -> None:
        if not self._is_shut:
            self._is_shut = True
            try:
                if not self.is_over:
                    # First, since a stream may be read to its end although nobody waits for it.
                    await self._call.failed()
            finally:
                if self._stream is not None:
                    await self._stream.aclose()
            self.is_over = True


def slow_reader_error() -> ServiceUnavailableError:
    """Return the error that ends a request which reads its answer more slowly than the answer is made."""
    return ServiceUnavailableError("The answer was read too slowly. Please try again.", code="slow_reader")
