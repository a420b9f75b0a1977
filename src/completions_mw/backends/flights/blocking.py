"""Single flight of threads and greenlets."""

import time
from collections.abc import Callable, Coroutine
from threading import Lock
from typing import Any

from completions_mw.backends.ownership import PerProcess
from completions_mw.core.ports import Steps


class BlockingSteps:
    """The `Steps` port for threads: the thread that gets the lock makes the step, and the others wait for the lock."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = Lock()

    async def run(self, step: Callable[[], Coroutine[Any, Any, None]], seconds: float | None) -> bool:
        if not self._lock.acquire(timeout=-1 if seconds is None else seconds):
            return False
        try:
            await step()
        finally:
            self._lock.release()
        return True

    def cancel(self) -> None:
        # A step is made by the thread that waits for it, so that none is under way once nobody waits.
        return


class BlockingFlights(PerProcess):
    """The `Flights` port for threads and greenlets. The flights are those of the whole process."""

    def reset(self) -> None:
        self.lock = Lock()
        self._table: dict[bytes, Any] = {}

    def table(self) -> dict[bytes, Any]:
        return self._table

    def steps(self) -> Steps:
        return BlockingSteps()

    async def pause(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - nothing suspends here; gevent patches it
