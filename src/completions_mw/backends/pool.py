"""The connections to one upstream, or the threads of models: who gets one, and who waits for one."""

from collections import deque
from threading import Lock
from typing import Final, Generic, Protocol, TypeVar

C = TypeVar("C", bound="Connection")
C_contra = TypeVar("C_contra", contravariant=True)


class Connection(Protocol):
    """What a pool needs of a connection."""

    def is_usable(self) -> bool:
        """Return whether the connection is open and silent: what arrives on an idle one can belong to nobody."""
        ...

    def close(self) -> None: ...


class Waiter(Protocol[C_contra]):
    """A call that waits for its turn."""

    @property
    def caller(self) -> str:
        """For whom the call is made; empty for the host app itself."""
        ...

    def offer(self, connection: C_contra | None, /) -> bool:
        """Take a connection, or with None the permission to open one; False where the call waits no longer."""
        ...


class Pool(Generic[C]):
    """Connections to one upstream: as many as are needed, up to a bound, and for one caller up to its share of that.

    Callers that have to wait are served in turn, and the calls of each in the order of their coming: the calls that one has waiting keep no
    other from its connection.

    What is shared can be the mere permission to have something, as a thread: then all offers are None, and None is given back.

    Args:
        size: connections at most.
        idle_seconds: seconds for which an unused connection is kept; shorter than servers keep theirs.
        share: part of `size` that one caller may have; the host app itself may have all.
    """

    def __init__(self, size: int, idle_seconds: float, share: float = 1.0) -> None:
        self._size: Final = size
        self._most_of_one: Final = max(1, int(size * share))
        self._idle_seconds: Final = idle_seconds
        self._lock = Lock()
        self._idle: deque[tuple[C, float]] = deque()
        self._in_use: dict[str, int] = {}
        """Connections that serve calls or are being opened, of each caller that has any."""
        self._active = 0
        """Their sum."""
        self._lines: dict[str, deque[Waiter[C]]] = {}
        """The calls that wait, of each caller that has any; first comes the caller whose turn is next."""
        self._dropped: deque[str] = deque()
        """The caller of each connection that the garbage collector found: it must not wait for the lock."""

    def __repr__(self) -> str:
        waiting = sum(map(len, self._lines.values()))
        return f"<Pool: {self._active - len(self._dropped)} active, {len(self._idle)} idle, {waiting} waiting>"

    def acquire(self, waiter: Waiter[C], now: float) -> bool:
        """Offer `waiter` a connection or the permission to open one, at once; or later, in its turn, and return False.

        Args:
            waiter: of the call.
            now: seconds of the monotonic clock.
        """
        stale: list[C] = []
        with self._lock:
            if self._dropped:
                self._forget_dropped()
                self._serve_lines(now, stale)
            is_free = self._is_free_for(waiter.caller)
            if is_free:
                self._lend(waiter, now, stale)
            else:
                self._lines.setdefault(waiter.caller, deque()).append(waiter)
        _close(stale)
        return is_free

    def withdraw(self, waiter: Waiter[C]) -> None:
        """Let `waiter` wait no longer. An offer that it has had is its own to give back."""
        with self._lock:
            line = self._lines.get(waiter.caller)
            if line is not None and waiter in line:
                line.remove(waiter)
                if not line:
                    del self._lines[waiter.caller]

    def release(self, connection: C | None, caller: str, now: float) -> None:
        """Give back a connection that may be used again; or with None the permission to have one.

        Args:
            connection: that served a call.
            caller: for whom.
            now: seconds of the monotonic clock.
        """
        stale: list[C] = []
        with self._lock:
            self._end_use(caller)
            if connection is not None:
                self._idle.append((connection, now))
            if self._lines:
                self._serve_lines(now, stale)
            # The last one is used first, so the first ones may be left over from busier times.
            while self._idle and now - self._idle[0][1] >= self._idle_seconds:
                stale.append(self._idle.popleft()[0])
        _close(stale)

    def drop(self, caller: str) -> None:
        """Give back the permission to have a connection: for the garbage collector, as no lock is taken."""
        self._dropped.append(caller)

    def close(self) -> None:
        """Close the connections that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, deque()
        _close([connection for connection, _ in idle])

    def _is_free_for(self, caller: str) -> bool:
        return self._active < self._size and (not caller or self._in_use.get(caller, 0) < self._most_of_one)

    def _lend(self, waiter: Waiter[C], now: float, stale: list[C]) -> None:
        """Offer an idle connection, or the permission to open one; add to `stale` those that are not usable any more."""
        connection: C | None = None
        while self._idle and connection is None:
            connection, since = self._idle.pop()
            if now - since >= self._idle_seconds or not connection.is_usable():
                stale.append(connection)
                connection = None
        if waiter.offer(connection):
            self._in_use[waiter.caller] = self._in_use.get(waiter.caller, 0) + 1
            self._active += 1
        elif connection is not None:
            self._idle.append((connection, now))

    def _serve_lines(self, now: float, stale: list[C]) -> None:
        """Give what is free to those who wait for it."""
        while (caller := next(filter(self._is_free_for, self._lines), None)) is not None:
            line = self._lines.pop(caller)
            self._lend(line.popleft(), now, stale)
            if line:
                # Behind all others.
                self._lines[caller] = line

    def _end_use(self, caller: str) -> None:
        self._active -= 1
        left = self._in_use.pop(caller) - 1
        if left:
            self._in_use[caller] = left

    def _forget_dropped(self) -> None:
        for _ in range(len(self._dropped)):
            self._end_use(self._dropped.popleft())


def _close(connections: list[C]) -> None:
    for connection in connections:
        connection.close()
