"""The stream of one answer's chunks, from a target to a client."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

from completions_mw.core.streaming.leaving import has_left, read_usage
from completions_mw.core.streaming.opening import OpenedAnswer
from completions_mw.core.streaming.rules import StreamRules
from completions_mw.errors import ClientDisconnectedError, GatewayError
from completions_mw.sse import DONE, Event


class StreamEnd(NamedTuple):
    """Usage and outcome of a stream that has ended."""

    usage: dict[str, Any]
    """The `usage` object, reported by the target or estimated."""
    estimated: bool
    """Whether `usage` is an estimate."""
    finish_reason: Any
    """The answer's `finish_reason` as the target gave it."""
    error: BaseException | None
    """Error with which the stream ended; None for a complete answer."""
    unread: float
    """Seconds in which the target may have waited, because the reader had not asked for the next batch."""


class StreamCharge(Protocol):
    """The charge of a stream: makes checkpoints while it runs."""

    @property
    def is_watched(self) -> bool:
        """Whether the maintenance runs, so that it would run what is deferred."""
        ...

    def defer(self, end: Callable[[], Awaitable[None]]) -> None:
        """Let the maintenance run the end of a dropped stream."""
        ...

    def follow(self, usage: Callable[[], dict[str, Any]]) -> None:
        """Take the usage so far from `usage`, which returns a `usage` object."""
        ...

    def heard(self) -> None:
        """Note that the first text of the answer has come."""
        ...

    def is_due(self, chunks: int, now: float) -> bool:
        """Count `chunks` more chunks, and return whether a checkpoint is due at the monotonic time `now`."""
        ...

    async def checkpoint(self) -> None:
        """Write the usage so far to the ledger.

        Raises:
            GatewayError: the stream must end.
        """
        ...


class ChunkStream:
    """The chunks of one answer, in batches as they arrive. `DONE` is the last event.

    An empty batch means that nothing for the client arrived for one keep-alive interval. A reader gets `DONE` before the upstream is
    released, which `aclose` does. A stream whose reader stays away is closed by `check`, which the background calls beside the reader, in
    another thread or task.

    Args:
        answer: the opened answer.
        charge: charge of the request; None where requests are not counted.
        on_end: called once, when the stream has ended.
        rules: bounds of the stream.
        disconnect: ends the connection of a client that does not take its answer; None where that is not possible.
    """

    __slots__ = (
        "__weakref__",
        "_charge",
        "_disconnect",
        "_expiry",
        "_first",
        "_given_at",
        "_grammar",
        "_is_complete",
        "_is_silent",
        "_on_end",
        "_rules",
        "_source",
        "_unread",
        "deadline",
        "is_done",
    )

    def __init__(
        self,
        answer: OpenedAnswer,
        charge: StreamCharge | None,
        on_end: Callable[[StreamEnd], Awaitable[None]],
        rules: StreamRules,
        disconnect: Callable[[], None] | None = None,
    ) -> None:
        self._source, self._grammar, first, self.deadline = answer
        self._first: list[Event] | None = first
        self._charge = charge
        # A list, from which whoever ends the stream takes the only item: threads may try at the same time, and `pop` is atomic.
        self._on_end = [on_end]
        self._rules = rules
        self._disconnect = disconnect
        self._is_complete = first[-1] is DONE
        """Whether the target has sent the whole answer."""
        self.is_done = False
        """Whether the reader has the last event."""
        self._is_silent = True
        """Whether no text of the answer has come."""
        self._given_at: float | None = rules.clock.monotonic()
        """When the reader got its last batch; None while it waits for the next one."""
        self._unread = 0.0
        """Seconds between batches that the reader got and its next question."""
        self._expiry: GatewayError | None = None
        """Why `check` has closed the stream."""
        if charge is not None:
            charge.follow(self._grammar.final_usage)
        rules.background.watch(self)

    async def __anext__(self) -> list[Event]:
        if not self._on_end or self.is_done:
            raise self._expiry or StopAsyncIteration
        # One flat function, because it runs for every chunk.
        now = self._rules.clock.monotonic
        asked_at = now()
        given_at = asked_at if self._given_at is None else self._given_at
        self._unread += asked_at - given_at
        quiet_until = given_at + self._rules.keep_alive
        self._given_at = None
        try:
            chunks, self._first = self._first, None
            if not chunks and self._grammar.fault is not None:
                raise self._grammar.fault
            while not chunks:
                batch = await self._source.__anext__()
                if batch:
                    chunks = self._grammar.follow(batch)
                if not chunks and now() >= quiet_until:
                    # Also if the target sends comments or parts of an event all the time.
                    chunks = []
                    break
            if chunks and chunks[-1] is DONE:
                self._is_complete = True
            given_at = now()
            if self._charge is not None:
                if self._is_silent and self._grammar.has_text:
                    self._is_silent = False
                    self._charge.heard()
                if self._charge.is_due(len(chunks), given_at):
                    # Before the chunks are returned, so that a client never has more than a checkpoint counts.
                    await self._charge.checkpoint()
            self.is_done = self._is_complete
            self._given_at = given_at
            return chunks
        except StopAsyncIteration:
            return await self._complete()
        except BaseException as error:
            await self._close(error)
            raise

    def usage(self) -> dict[str, Any]:
        """Return the usage so far: reported by the target, or estimated."""
        return self._grammar.final_usage()

    def keep_alive_chunk(self) -> Event:
        """Return a chunk that adds nothing to the answer."""
        return self._grammar.empty_chunk()

    async def check(self) -> None:
        """Close the stream if its reader stays away for too long: called every second."""
        if not self._on_end or (overdue := self._rules.overdue(self._given_at, self.deadline)) is None:
            return
        self._expiry = overdue
        await self._close(None if self._is_complete else self._expiry)
        if self._disconnect is not None:
            self._disconnect()

    async def abort(self, error: Exception) -> None:
        """Stop the answer because of `error`, unless it has ended."""
        await self._close(error)

    async def aclose(self) -> None:
        """Stop the answer at any point, and release the upstream."""
        await self._close(None if self._is_complete else ClientDisconnectedError())

    async def abandon(self) -> None:
        """Close the upstream and let the maintenance settle the request: for the garbage collector, which must not wait for a store."""
        defer = self._charge.defer if self._charge is not None and self._charge.is_watched else None
        await self._close(None if self._is_complete else ClientDisconnectedError(), defer, is_collected=True)

    async def _complete(self) -> list[Event]:
        """Return the chunks that end an answer whose target ended its stream without `DONE`."""
        try:
            chunks = self._grammar.end(done=False)
        except GatewayError as error:
            await self._close(error)
            raise
        self._is_complete = self.is_done = True
        self._given_at = self._rules.clock.monotonic()
        return chunks

    async def _close(
        self,
        error: BaseException | None,
        defer: Callable[[Callable[[], Awaitable[None]]], None] | None = None,
        *,
        is_collected: bool = False,
    ) -> None:
        try:
            on_end = self._on_end.pop()
        except IndexError:
            return
        self._rules.background.unwatch(self)
        if self._charge is not None and not is_collected and (has_left(error) or self._expiry is not None):
            # Beside the request, whose task may be cancelled again and again.
            await self._rules.background.complete(self._end_unread(on_end, error))
        else:
            await self._end(on_end, error, defer)

    async def _end_unread(self, on_end: Callable[[StreamEnd], Awaitable[None]], error: BaseException | None) -> None:
        try:
            # `check` must not wait: it looks after other streams too.
            await read_usage(self._source, self._grammar, self._rules, waits=self._expiry is None)
        finally:
            await self._end(on_end, error, None)

    async def _end(
        self,
        on_end: Callable[[StreamEnd], Awaitable[None]],
        error: BaseException | None,
        defer: Callable[[Callable[[], Awaitable[None]]], None] | None,
    ) -> None:
        grammar, given_at = self._grammar, self._given_at
        unread = self._unread + (0.0 if given_at is None else self._rules.clock.monotonic() - given_at)
        try:
            await (self._source.finish() if error is None else self._source.aclose())
        except Exception as failure:
            # The answer has ended, and its reader cannot fix the failure: it is for the log.
            error = failure if error is None or isinstance(error, ClientDisconnectedError) else error
        finally:
            end = StreamEnd(grammar.final_usage(), grammar.is_estimated, grammar.finish_reason, error, unread)
            if defer is None:
                await on_end(end)
            else:
                defer(partial(on_end, end))
