"""Single flight: identical requests at the same time share one call of an upstream."""

from collections import deque
from collections.abc import Callable

from completions_mw.core.cache.flight import Flight, FlightCall
from completions_mw.core.ports import Flights
from completions_mw.http import ClientConnection


class Seat:
    """The place of one request in a flight.

    Args:
        key: what the flight is about.
        flight: the flight.
        is_leader: whether the request has begun the flight.
    """

    __slots__ = ("flight", "has_left", "is_leader", "key")

    def __init__(self, key: bytes, flight: Flight, *, is_leader: bool) -> None:
        self.key = key
        self.flight = flight
        self.is_leader = is_leader
        self.has_left = False


class SingleFlight:
    """The flights of this process, or of each of its event loops.

    Args:
        flights: the port by which requests wait for each other.
        max_followers: maximum of requests that join a flight, besides the one that begins it.
    """

    def __init__(self, flights: Flights, max_followers: int) -> None:
        self._flights = flights
        self._max_followers = max_followers
        self._dropped: deque[Seat] = deque()
        """Seats that the garbage collector found, which must not wait for the lock."""

    def board(self, key: bytes, call: Callable[[], FlightCall], max_bytes: int, *, alone: bool = False) -> Seat:
        """Return a seat in the flight of a key; a flight of its own if there is none that the request can join.

        Args:
            key: what the flight is about.
            call: makes the call of a new flight.
            max_bytes: maximum of bytes of chunks that a new flight keeps.
            alone: whether the request must not join a flight, nor be joined.
        """
        with self._flights.lock:
            table = self._flights.table()
            flight = None if alone else table.get(key)
            if flight is not None and flight.can_be_joined and flight.requests <= self._max_followers:
                flight.requests += 1
                return Seat(key, flight, is_leader=False)
            own = Flight(call(), self._flights.steps(), max_bytes)
            # A flight that cannot be joined is replaced, so that later requests share the new one.
            if not alone and (flight is None or not flight.can_be_joined):
                table[key] = own
        return Seat(key, own, is_leader=True)

    def requests(self) -> tuple[int, int]:
        """Return the number of calls that can be joined, and of the requests that get their answers."""
        with self._flights.lock:
            counts = [flight.requests for flight in self._flights.table().values() if flight.can_be_joined]
        return len(counts), sum(counts)

    async def leave(self, seat: Seat) -> None:
        """Give up a seat. The last request to leave settles the answer, or stops the call."""
        with self._flights.lock:
            must_close = self._give_up(seat)
        if must_close:
            await seat.flight.close()

    async def abandon(self, seat: Seat) -> None:
        """Give up a seat without asking a store: for the garbage collector, which may run while its own thread holds the lock."""
        self._dropped.append(seat)
        await self.settle_dropped()

    async def settle_dropped(self) -> None:
        """Give up the seats that the garbage collector found, unless the lock is held: then the next request does so."""
        while self._dropped and self._flights.lock.acquire(blocking=False):
            try:
                seat = self._dropped.popleft()
                must_close = self._give_up(seat)
            finally:
                self._flights.lock.release()
            if must_close:
                await seat.flight.abandon()

    def _give_up(self, seat: Seat) -> bool:
        """Free a seat. Return whether the flight is to be closed by the request that had it."""
        if seat.has_left:
            return False
        flight = seat.flight
        seat.has_left = True
        flight.requests -= 1
        flight.has_leader = flight.has_leader and not seat.is_leader
        must_close = not flight.is_closed and (flight.requests == 0 or flight.is_over)
        flight.is_closed = flight.is_closed or must_close
        table = self._flights.table()
        if flight.is_closed and table.get(seat.key) is flight:
            del table[seat.key]
        return must_close


class LeaderConnection:
    """The connection of the client that began a flight: it counts as gone only if nobody else waits for the answer.

    Args:
        connection: connection of the client.
    """

    __slots__ = ("_connection", "flight")

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self.flight: Flight | None = None

    def fileno(self) -> int:
        # The server closes the connection once the leader has left, and may use its number for another one.
        return self._connection.fileno() if self._is_alone() else -1

    def is_gone(self) -> bool:
        return self._is_alone() and self._connection.is_gone()

    def _is_alone(self) -> bool:
        return self.flight is None or (self.flight.has_leader and self.flight.requests == 1)
