"""Cancels a task at a chosen one of its await points: what a client's leaving can hit, without luck (docs/promises.md)."""

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class CancelAt(Generic[T]):
    """Awaits `work`, whose task is cancelled while it is suspended for the `step`-th time.

    Args:
        work: runs in the task that awaits this.
        step: counted from 1.
        insist: cancel at every later await point too, as a server does that shuts down while a client leaves.
    """

    def __init__(self, work: Coroutine[Any, Any, T], step: int, *, insist: bool) -> None:
        self.reached = False
        self._work = work
        self._step = step
        self._insist = insist

    def __await__(self) -> Generator[Any, Any, T]:
        steps = self._work.__await__()
        advance, value, count = steps.send, None, 0
        while True:
            try:
                waiting_for = advance(value)
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]
            count += 1
            if count == self._step or (self._insist and count > self._step):
                self._cancel_soon()
            try:
                advance, value = steps.send, (yield waiting_for)
            except BaseException as thrown:
                advance, value = steps.throw, thrown

    def _cancel_soon(self) -> None:
        self.reached = True
        task = asyncio.current_task()
        assert task is not None
        # Before anything that the suspended task waits for: that is scheduled later.
        asyncio.get_running_loop().call_soon(task.cancel)

    async def run(self) -> T:
        """Be a coroutine, for `asyncio.create_task`."""
        return await self
