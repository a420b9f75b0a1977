"""Async code as a source of items: each answer runs in a task of its own behind a bounded queue."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from completions_mw.backends.models.faults import SIGNALS, signalled
from completions_mw.backends.models.inbox import MAX_QUEUED_ITEMS, Inbox
from completions_mw.errors import UpstreamError

AsyncEmit = Callable[[Any], Awaitable[None]]
"""Delivers one item, after waiting for room in the queue."""
AsyncProduce = Callable[[AsyncEmit], Awaitable[None]]
"""Does the work and emits its items."""


class AsyncTaskSource:
    """An `ItemSource` for async code, which runs in one task from start to end: its time-outs and task groups may span its yields.

    Args:
        produce: the work.
        keep_alive: seconds of silence after which an empty batch is returned; 0: never.
    """

    __slots__ = ("_inbox", "_produce", "_room", "_task")

    def __init__(self, produce: AsyncProduce, keep_alive: float) -> None:
        self._produce = produce
        self._inbox = Inbox(keep_alive)
        # anyio's semaphore lets other tasks run at each item.
        self._room = anyio.Semaphore(MAX_QUEUED_ITEMS)
        self._task: asyncio.Task[None] | None = None

    async def __anext__(self) -> list[Any]:
        if self._task is None and not self._inbox.ended:
            self._task = asyncio.create_task(self._run())
        batch = await self._inbox.take()
        for _ in batch:
            self._room.release()
        return batch

    async def aclose(self) -> None:
        self._inbox.close()
        if self._task is not None:
            self._task.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.wait([self._task])

    async def _emit(self, item: Any) -> None:
        await self._room.acquire()
        self._inbox.put(item)

    async def _run(self) -> None:
        try:
            await self._produce(self._emit)
            self._inbox.end()
        except (Exception, GeneratorExit) as raised:
            self._inbox.end(signalled(raised) if isinstance(raised, SIGNALS) else raised)
        finally:
            # In effect only if something else cancelled the task: that must not look like a complete answer.
            self._inbox.end(UpstreamError("The model was stopped before its answer was complete."))
