"""The `Background` port: work beside requests, in threads or on event loops."""

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from functools import partial
from typing import Any, Final, TypeVar

from completions_mw.backends.background.asynchronous import PeriodicTask
from completions_mw.backends.background.blocking import PeriodicThread
from completions_mw.backends.background.work import Work, log_failure
from completions_mw.backends.ownership import PerLoop, PerProcess

T = TypeVar("T")

CLOSE_SECONDS: Final = 5.0
"""How long `AsyncBackground.aclose` waits for work under way."""


class BlockingBackground(PerProcess):
    """The `Background` port for threads and greenlets.

    `complete` runs its work inline; `keep` repeats work in one thread, which each process starts for itself.
    """

    def reset(self) -> None:
        self._thread = PeriodicThread()

    async def complete(self, work: Coroutine[Any, Any, T]) -> T:
        return await work

    def keep(self, interval: float, work: Work) -> None:
        self._thread.keep(interval, work)

    async def aclose(self) -> None:
        """Stop what `keep` started in this process, and wait a moment for work under way."""
        thread, self._thread = self._thread, PeriodicThread()
        thread.stop()
        thread.join()


class AsyncBackground:
    """The `Background` port for asyncio: all work runs in tasks of the event loop that asks for it."""

    def __init__(self) -> None:
        self._completing: set[asyncio.Task[Any]] = set()
        self._kept: PerLoop[dict[Work, PeriodicTask]] = PerLoop(dict)

    async def complete(self, work: Coroutine[Any, Any, T]) -> T:
        # The task runs `work` itself, not a wrapper, so that `work` is closed even where its event loop ends before the task begins.
        task = asyncio.create_task(work)
        # Event loops hold their tasks weakly.
        self._completing.add(task)
        task.add_done_callback(self._completing.discard)
        try:
            await asyncio.wait([task])
        except BaseException:
            task.add_done_callback(partial(_log_failure, work))
            raise
        try:
            return task.result()
        finally:
            # A failure holds this frame by its traceback; were the task held by the frame, all would wait for the garbage collector.
            del task

    def keep(self, interval: float, work: Work) -> None:
        kept = self._kept.get()
        if work not in kept:
            # In a context of its own: the work outlives the request that asks for it.
            kept[work] = Context().run(PeriodicTask, interval, work)

    async def aclose(self) -> None:
        """Stop what `keep` started on the running event loop, and wait a moment for work under way there."""
        kept = (self._kept.pop() or {}).values()
        for periodic in kept:
            periodic.stop()
        loop = asyncio.get_running_loop()
        # A copy of a set is one step, also where other event loops add to it in their threads.
        running = {task for task in self._completing.copy() if task.get_loop() is loop}
        running.update(periodic.task for periodic in kept if periodic.task is not None)
        if running:
            await asyncio.wait(running, timeout=CLOSE_SECONDS)


def _log_failure(work: object, task: asyncio.Task[Any]) -> None:
    error = None if task.cancelled() else task.exception()
    if isinstance(error, Exception):
        log_failure(work, error)
