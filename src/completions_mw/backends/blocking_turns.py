"""Waiting for one's turn in a pool, in threads and greenlets."""

from threading import Lock
from typing import Generic

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.pool import C, Pool
from completions_mw.errors import overloaded_error


def acquire(pool: Pool[C], caller: str, until: float) -> C | None:
    """Wait for one's turn, and return a connection, or None for the permission to open one.

    Args:
        pool: used by the threads of this process.
        caller: for whom; empty for the host app itself.
        until: when the wait ends, in seconds of the monotonic clock.

    Raises:
        ServiceUnavailableError: the turn did not come in time.
    """
    turn = _Turn[C](caller)
    if pool.acquire(turn, SYSTEM_CLOCK.monotonic()):
        return turn.connection
    try:
        is_offered = turn.wait(until - SYSTEM_CLOCK.monotonic())
    except BaseException:
        # Ctrl-C, a killed greenlet or a time-out of gevent.
        pool.withdraw(turn)
        if turn.wait(0):
            pool.release(turn.connection, caller, SYSTEM_CLOCK.monotonic())
        raise
    if not is_offered:
        pool.withdraw(turn)
        # Unless it came in the last moment.
        if not turn.wait(0):
            raise overloaded_error()
    return turn.connection


class _Turn(Generic[C]):
    """The `Waiter` of a thread or greenlet."""

    __slots__ = ("_is_offered", "caller", "connection")

    def __init__(self, caller: str) -> None:
        self.caller = caller
        self.connection: C | None = None
        """What was offered."""
        self._is_offered = Lock()
        self._is_offered.acquire()

    def offer(self, connection: C | None, /) -> bool:
        self.connection = connection
        self._is_offered.release()
        return True

    def wait(self, seconds: float) -> bool:
        """Return whether anything is offered within so many seconds."""
        return self._is_offered.acquire(timeout=max(0.0, seconds))
