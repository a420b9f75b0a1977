"""The threads in which an async gateway runs blocking models."""

from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from completions_mw.backends.async_turns import acquire
from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.ownership import PerLoop
from completions_mw.backends.pool import Connection, Pool
from completions_mw.schemas.base import ModelRequest


class ModelThreads(Protocol):
    """Permits to run a blocking model in a thread, which all models of a gateway share."""

    async def permit(self, caller: str) -> Callable[[], None]:
        """Wait for a permit, and return the function that gives it back, which is to be called where the permit was waited for.

        Args:
            caller: for whom the model runs; empty for the host app itself.

        Raises:
            ServiceUnavailableError: all threads are still at work, or the caller has its share of them.
        """
        ...


class AsyncModelThreads:
    """Permits for the models of an async gateway. A blocking gateway needs none: the server bounds the threads of its requests.

    Args:
        count: threads that may run at the same time, for each event loop.
        wait: seconds for which an answer waits for one.
        share: part of them that one caller may have; the host app itself may have all.
    """

    def __init__(self, count: int, wait: float, share: float = 1.0) -> None:
        self._pools: Final = PerLoop(lambda: Pool[Connection](count, 0, share))
        self._wait = wait

    async def permit(self, caller: str) -> Callable[[], None]:
        pool = self._pools.get()
        await acquire(pool, caller, SYSTEM_CLOCK.monotonic() + self._wait)
        return partial(_give_back, pool, caller)


def _give_back(pool: Pool[Connection], caller: str) -> None:
    pool.release(None, caller, SYSTEM_CLOCK.monotonic())


def caller_of(request: ModelRequest) -> str:
    """Return for whom a request is made, as `ModelThreads` takes it."""
    caller = request.caller
    return "" if caller is None else f"{caller.scope}:{caller.id}"
