"""Waiting for one's turn in a pool, on event loops."""

import asyncio
from typing import Generic

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.pool import C, Pool
from completions_mw.errors import overloaded_error


async def acquire(pool: Pool[C], caller: str, until: float) -> C | None:
    """Wait for one's turn, and return a connection, or None for the permission to open one.

    Args:
        pool: used on this event loop only.
        caller: for whom; empty for the host app itself.
        until: when the wait ends, in seconds of the monotonic clock.

    Raises:
        ServiceUnavailableError: the turn did not come in time.
    """
    turn = _Turn[C](caller)
    if pool.acquire(turn, SYSTEM_CLOCK.monotonic()):
        return turn.connection
    offered: asyncio.Future[C | None] = asyncio.get_running_loop().create_future()
    turn.future = offered
    try:
        async with asyncio.timeout(until - SYSTEM_CLOCK.monotonic()):
            return await offered
    except BaseException as error:
        pool.withdraw(turn)
        if offered.done() and not offered.cancelled():
            pool.release(offered.result(), caller, SYSTEM_CLOCK.monotonic())
        if isinstance(error, TimeoutError):
            raise overloaded_error() from None
        raise


class _Turn(Generic[C]):
    """The `Waiter` of an event loop."""

    __slots__ = ("caller", "connection", "future")

    def __init__(self, caller: str) -> None:
        self.caller = caller
        self.connection: C | None = None
        """What was offered at once."""
        self.future: asyncio.Future[C | None] | None = None
        """Of a call that has to wait."""

    def offer(self, connection: C | None, /) -> bool:
        if self.future is None:
            self.connection = connection
            return True
        if self.future.done():
            return False
        self.future.set_result(connection)
        return True
