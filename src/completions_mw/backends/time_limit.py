"""A time limit for calls on an event loop that has other work as well."""

import asyncio
from typing import Any, Final

PARTS: Final = 5
"""Parts of the time that a call has. While the event loop or the whole machine stands still, no more than one part passes."""


class TimeLimit:
    """Async context manager that raises `TimeoutError` where its block takes too long, unless what it waits for has arrived by then.

    Each part of the time begins when the event loop comes to it. All of asyncio's own timeout passes while the loop is busy elsewhere, and
    a task is cancelled whose answer has arrived and was not read yet: a healthy store would look lost.

    Args:
        seconds: how long the block may take.
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
            # In effect in the loop's next pass, so that an answer which is there in this one is taken.
            self._limit.reschedule(self._loop.time())
