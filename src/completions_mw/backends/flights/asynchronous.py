"""Single flight of the tasks of an event loop."""

import asyncio
from collections.abc import Callable, Coroutine
from threading import Lock
from typing import Any

from completions_mw.backends.ownership import PerLoop, PerProcess
from completions_mw.core.ports import Steps


class AsyncSteps:
    """The `Steps` port for asyncio: each step is a task of its own, which goes on if the request that began it is cancelled."""

    __slots__ = ("_task",)

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    async def run(self, step: Callable[[], Coroutine[Any, Any, None]], seconds: float | None) -> bool:
        task = self._task
        if task is None:
            task = self._task = asyncio.create_task(step())
            task.add_done_callback(self._ended)
        done, _ = await asyncio.wait([task], timeout=seconds)
        return bool(done)

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled():
            # Asked for, since asyncio complains about exceptions that nobody has seen; the flight has kept it.
            task.exception()


class AsyncFlights(PerProcess):
    """The `Flights` port for asyncio. Each event loop has flights of its own."""

    def reset(self) -> None:
        self.lock = Lock()
        self._tables: PerLoop[dict[bytes, Any]] = PerLoop(dict)

    def table(self) -> dict[bytes, Any]:
        return self._tables.get()

    def steps(self) -> Steps:
        return AsyncSteps()

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
