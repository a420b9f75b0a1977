"""A time limit for calls on an event loop that other work keeps busy."""

import asyncio
from typing import Any, Final

PARTS: Final = 5
"""Parts into which a time limit is divided. While the event loop or the machine stands still, no more than one part passes."""


class TimeLimit:
    """Async context manager that raises `TimeoutError` if its block takes too long, unless what the block waits for has arrived.

    The time passes in parts, each of which begins when the event loop gets to it. `asyncio.timeout` passes while the loop does other work,
    and then cancels a task whose answer has arrived but was not read yet: a healthy store would look lost.

    Args:
        seconds: time that the block may take.
    """

    __slots__ = ("_left", "_limit", "_loop", "_part", "_timer")

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._limit = asyncio.timeout(None)
        self._part = seconds / PARTS
        self._left = PARTS

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()
        self._begin()

    async def __aexit__(self, *failure: Any) -> None:
        self._timer.cancel()
        await self._limit.__aexit__(*failure)

    def _begin(self) -> None:
        self._timer = self._loop.call_later(self._part, self._end)

    def _end(self) -> None:
        self._left -= 1
        if self._left:
            self._begin()
        else:
            # In effect in the next pass of the loop, so that an answer that has arrived in this pass is taken.
            self._limit.reschedule(self._loop.time())
