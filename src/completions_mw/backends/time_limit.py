"""A time limit for calls on an event loop that has other work as well."""

import asyncio
from typing import Any, Final

PARTS: Final = 5
"""Of the time that a call has. Whatever keeps us from looking for the answer costs it one of them, however long that takes."""


class TimeLimit:
    """Raises `TimeoutError` where a block takes longer, unless what it waits for is there by then.

    A part of the time begins when the event loop comes to it. With asyncio's own timeout all of it passes while the loop is busy elsewhere,
    and a task is cancelled whose answer has arrived and was only not read yet: a healthy store would look lost.

    Args:
        seconds: that the block may take.
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
            # That takes effect in the next pass, after whoever has an answer in this one.
            self._limit.reschedule(self._loop.time())
