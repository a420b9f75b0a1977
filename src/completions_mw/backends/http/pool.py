"""The connections to one upstream: which one serves a call, and who waits for one."""

from collections import deque
from threading import Lock
from typing import Final, Generic, Protocol, TypeVar

C = TypeVar("C", bound="Connection")
C_contra = TypeVar("C_contra", contravariant=True)


class Connection(Protocol):
    """What a pool needs of a connection."""

    def is_usable(self) -> bool:
        """Tell whether the connection is open and silent: what arrives on an idle one can belong to nobody."""
        ...

    def close(self) -> None: ...


class Waiter(Protocol[C_contra]):
    """A call that waits for its turn."""

    def offer(self, connection: C_contra | None, /) -> bool:
        """Take a connection, or with None the permission to open one; False where the call waits no longer."""
        ...


class Pool(Generic[C]):
    """Connections to one upstream: as many as are needed, up to a bound. Calls that have to wait are served in the order of their coming.

    Args:
        size: connections at most.
        idle_seconds: seconds for which an unused connection is kept; shorter than servers keep theirs.
    """

    def __init__(self, size: int, idle_seconds: float) -> None:
        self._size: Final = size
        self._idle_seconds: Final = idle_seconds
        self._lock = Lock()
        self._idle: deque[tuple[C, float]] = deque()
        self._waiters: deque[Waiter[C]] = deque()
        self._opened = 0
        self._dropped: deque[None] = deque()
        """One for each connection that the garbage collector found: it must not wait for the lock."""

    def __repr__(self) -> str:
        idle = len(self._idle)
        return f"<Pool: {self._opened - len(self._dropped) - idle} active, {idle} idle, {len(self._waiters)} waiting>"

    def acquire(self, waiter: Waiter[C], now: float) -> bool:
        """Offer `waiter` a connection or the permission to open one, at once; or later, in its turn, and return False.

        Args:
            waiter: of the call.
            now: seconds of the monotonic clock.
        """
        stale: list[C] = []
        with self._lock:
            self._opened -= self._forget_dropped()
            while self._idle:
                connection, since = self._idle.pop()
                if now - since < self._idle_seconds and connection.is_usable():
                    waiter.offer(connection)
                    break
                stale.append(connection)
                self._opened -= 1
            else:
                if self._opened >= self._size:
                    self._waiters.append(waiter)
                    return False
                self._opened += 1
                waiter.offer(None)
        for connection in stale:
            connection.close()
        return True

    def withdraw(self, waiter: Waiter[C]) -> None:
        """Let `waiter` wait no longer. An offer that it has had is its own to give back."""
        with self._lock:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def release(self, connection: C | None, now: float) -> None:
        """Give back a connection that may be used again; or with None the permission to have one."""
        stale: list[C] = []
        with self._lock:
            while self._waiters:
                if self._waiters.popleft().offer(connection):
                    return
            if connection is None:
                self._opened -= 1
            else:
                self._idle.append((connection, now))
            # The last one is used first, so the first ones may be left over from busier times.
            while self._idle and now - self._idle[0][1] >= self._idle_seconds:
                stale.append(self._idle.popleft()[0])
            self._opened -= len(stale)
        for unused in stale:
            unused.close()

    def drop(self) -> None:
        """Give back the permission to have a connection: for the garbage collector, as no lock is taken."""
        self._dropped.append(None)

    def close(self) -> None:
        """Close the connections that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, deque()
            self._opened -= len(idle)
        for connection, _ in idle:
            connection.close()

    def _forget_dropped(self) -> int:
        count = len(self._dropped)
        for _ in range(count):
            self._dropped.popleft()
        return count
