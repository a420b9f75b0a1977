"""The stream of one request in a flight."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from completions_mw.core.cache.single_flight import Seat, SingleFlight
from completions_mw.core.streaming.pieces import empty_chunk
from completions_mw.core.streaming.replay import with_usage
from completions_mw.errors import ClientDisconnectedError
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


class FlightReader:
    """The chunks of a flight for one request, in batches as they arrived. `DONE` is the last event; an empty batch means silence.

    Args:
        seat: seat of the request.
        single_flight: takes the seat back.
        include_usage: whether the request asks for usage.
        keep_alive: seconds of silence after which a batch is empty; None for never.
        on_end: told of the end of the stream; None for the request that began the flight, whose call is settled by itself.
    """

    __slots__ = ("_include_usage", "_is_closed", "_keep_alive", "_on_end", "_position", "_seat", "_single_flight", "is_done")

    def __init__(
        self, seat: Seat, single_flight: SingleFlight, *, include_usage: bool, keep_alive: float | None, on_end: OnEnd | None
    ) -> None:
        self._seat = seat
        self._single_flight = single_flight
        self._include_usage = include_usage
        self._keep_alive = keep_alive
        self._on_end = on_end
        self._position = 0
        self._is_closed = False
        self.is_done = False
        """Whether the reader has the last event."""

    async def __anext__(self) -> list[Event]:
        if self._is_closed or self.is_done:
            raise StopAsyncIteration
        flight = self._seat.flight
        try:
            batch = await flight.batch(self._position, self._keep_alive)
        except BaseException as error:
            await self._close(error)
            raise
        if not batch:
            return batch
        self._position += 1
        self.is_done = batch[-1] is DONE
        return with_usage(batch, flight.usage if self.is_done else None) if self._include_usage else batch

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
        if not self._is_closed:
            self._is_closed = True
            await self._single_flight.abandon(self._seat)

    async def _close(self, error: BaseException | None) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        try:
            await self._single_flight.leave(self._seat)
        finally:
            if self._on_end is not None:
                flight = self._seat.flight
                await self._on_end(FollowerEnd(error, flight.target, flight.usage.data["usage"] if error is None else None))
