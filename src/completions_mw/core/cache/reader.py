"""The stream of one request in a flight."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, NamedTuple

from completions_mw.core.cache.single_flight import Seat, SingleFlight
from completions_mw.core.streaming.pieces import empty_chunk
from completions_mw.core.streaming.replay import with_usage
from completions_mw.core.streaming.rules import StreamRules
from completions_mw.errors import ClientDisconnectedError, GatewayError
from completions_mw.sse import DONE, Event


class FollowerEnd(NamedTuple):
    """The end of a stream that the call of another request has given."""

    error: BaseException | None
    """Error with which the stream ended; None for a complete answer."""
    target: str
    """`provider/model` of the target that has answered."""
    usage: dict[str, Any] | None
    """The `usage` object of a complete answer, else None."""


OnEnd = Callable[[FollowerEnd], Awaitable[None]]
"""Told once of the end of a stream."""


class Watch(NamedTuple):
    """What ends the stream of a reader who stays away."""

    rules: StreamRules
    disconnect: Callable[[], None] | None
    """Ends the connection of a client that does not take its answer; None where that is not possible."""


class FlightReader:
    """The chunks of a flight for one request, in batches as they arrived. `DONE` is the last event; an empty batch means silence.

    Args:
        seat: seat of the request.
        single_flight: takes the seat back.
        include_usage: whether the request asks for usage.
        keep_alive: seconds of silence after which a batch is empty; None for never.
        on_end: told of the end of the stream; None for the request that began the flight, whose call is settled by itself.
        watch: bounds of the stream. `check`, which the background calls, ends one whose reader stays away, as `ChunkStream` does.
    """

    __slots__ = (
        "__weakref__",
        "_disconnect",
        "_expiry",
        "_given_at",
        "_include_usage",
        "_keep_alive",
        "_on_end",
        "_position",
        "_rules",
        "_seat",
        "_single_flight",
        "is_done",
    )

    def __init__(
        self, seat: Seat, single_flight: SingleFlight, *, include_usage: bool, keep_alive: float | None, on_end: OnEnd | None, watch: Watch
    ) -> None:
        self._seat = seat
        self._single_flight = single_flight
        self._include_usage = include_usage
        self._keep_alive = keep_alive
        # A list, from which whoever ends the stream takes the only item: threads may try at the same time, and `pop` is atomic.
        self._on_end = [on_end]
        self._rules, self._disconnect = watch
        self._position = 0
        self._given_at: float | None = self._rules.clock.monotonic()
        """When the reader got its last batch; None while it waits for the next one."""
        self._expiry: GatewayError | None = None
        """Why `check` has ended the stream."""
        self.is_done = False
        """Whether the reader has the last event."""
        self._rules.background.watch(self)

    async def __anext__(self) -> list[Event]:
        if not self._on_end or self.is_done:
            raise self._expiry or StopAsyncIteration
        self._given_at = None
        flight = self._seat.flight
        try:
            batch = await flight.batch(self._position, self._keep_alive)
        except BaseException as error:
            await self._close(error)
            raise
        self._given_at = self._rules.clock.monotonic()
        if not batch:
            return batch
        self._position += 1
        self.is_done = batch[-1] is DONE
        return with_usage(batch, flight.usage if self.is_done else None) if self._include_usage else batch

    async def check(self) -> None:
        """End the stream if its reader stays away for too long: called every second."""
        flight = self._seat.flight
        if not self._on_end or (overdue := self._rules.overdue(self._given_at, flight.deadline)) is None:
            return
        self._expiry = overdue
        # The upstream first, which is not waited for then: this looks after other streams too.
        await flight.check()
        await self._close(None if self.is_done else overdue)
        if self._disconnect is not None:
            self._disconnect()

    def keep_alive_chunk(self) -> Event:
        head = self._seat.flight.head.data
        return empty_chunk({**head, "usage": None} if self._include_usage else head)

    async def abort(self, error: Exception) -> None:
        """Stop reading because of `error`, unless the stream has ended."""
        await self._close(error)

    async def aclose(self) -> None:
        """Stop reading at any point. The call goes on if other requests wait for its answer."""
        await self._close(None if self.is_done else ClientDisconnectedError())

    async def abandon(self) -> None:
        """Stop reading without asking a store: for the garbage collector. What the request holds expires."""
        with suppress(IndexError):
            self._on_end.pop()
            self._rules.background.unwatch(self)
            await self._single_flight.abandon(self._seat)

    async def _close(self, error: BaseException | None) -> None:
        try:
            on_end = self._on_end.pop()
        except IndexError:
            return
        self._rules.background.unwatch(self)
        try:
            await self._single_flight.leave(self._seat)
        finally:
            if on_end is not None:
                flight = self._seat.flight
                await on_end(FollowerEnd(error, flight.target, flight.usage.data["usage"] if error is None else None))
