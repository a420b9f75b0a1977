"""Work beside requests on event loops."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from contextvars import Context
from functools import partial
from typing import Any, Final
from weakref import ref

from completions_mw.backends.background.server import POLL_SECONDS, WatchedServer
from completions_mw.backends.background.watch import CHECK_SECONDS, Watch
from completions_mw.backends.background.work import RepeatedWork, T, Work, is_process, log_failure
from completions_mw.backends.ownership import PerLoop
from completions_mw.core.ports import Stopping, Watched

CLOSE_SECONDS: Final = 5.0
"""Seconds that `AsyncBackground.aclose` waits for work under way."""


class AsyncBackground:
    """The `Background` port for asyncio: all work runs in tasks of the event loop that asks for it."""

    def __init__(self) -> None:
        self._completing: set[asyncio.Task[Any]] = set()
        self._works: PerLoop[LoopWork] = PerLoop(LoopWork)
        self._servers: PerLoop[WatchedServer] = PerLoop(WatchedServer)

    async def complete(self, work: Coroutine[Any, Any, T]) -> T:
        # The task runs `work` itself, not a wrapper, so that `work` is closed even where its event loop ends before the task begins.
        loop = asyncio.get_running_loop()
        task = loop.create_task(work)
        # Event loops hold their tasks weakly.
        self._completing.add(task)
        # What `asyncio.wait` does for many tasks and with a time limit, for one task: each request with a budget waits here.
        ended: asyncio.Future[None] = loop.create_future()
        task.add_done_callback(partial(self._completed, ended))
        try:
            await ended
        except BaseException:
            task.add_done_callback(partial(_log_failure, work))
            raise
        try:
            return task.result()
        finally:
            # A failure holds this frame by its traceback; were the task held by the frame, all would wait for the garbage collector.
            del task

    def _completed(self, ended: asyncio.Future[None], task: asyncio.Task[Any]) -> None:
        self._completing.discard(task)
        if not ended.done():
            ended.set_result(None)

    def keep(self, interval: float, work: Work) -> Callable[[], bool]:
        works = self._works.get()
        if work not in works.kept:
            # In a context of its own: the work outlives the request that asks for it.
            works.kept[work] = Context().run(PeriodicTask, interval, work)
        return works.is_alive

    def watch(self, watched: Watched) -> None:
        watch = self._works.get().watch
        watch.add(watched)
        self.keep(CHECK_SECONDS, watch.check)

    def unwatch(self, watched: Watched) -> None:
        self._works.get().watch.discard(watched)

    def canceller(self) -> Callable[[], None]:
        task = asyncio.current_task()
        # Weak, since the task refers to its request, which would refer to the task.
        return partial(_cancel, ref(task)) if task is not None else _nothing

    def watch_server(self, stopping: Stopping) -> None:
        server = self._servers.get()
        if server.is_known and server.add(stopping):
            self.keep(POLL_SECONDS, server.check)

    def is_stop(self, error: BaseException) -> bool:
        return isinstance(error, asyncio.CancelledError) and self._servers.get().is_stopping

    async def aclose(self) -> None:
        """Stop what `keep` started on the running event loop, and wait up to `CLOSE_SECONDS` for work under way there."""
        works = self._works.pop()
        kept = () if works is None else works.kept.values()
        for periodic in kept:
            periodic.stop()
        loop = asyncio.get_running_loop()
        # A copy of a set is one step, also where other event loops add to the set in their threads.
        running = {task for task in self._completing.copy() if task.get_loop() is loop}
        running.update(periodic.task for periodic in kept if periodic.task is not None)
        if running:
            await asyncio.wait(running, timeout=CLOSE_SECONDS)


class LoopWork:
    """The work beside requests on the running event loop."""

    def __init__(self) -> None:
        self.kept: dict[Work, PeriodicTask] = {}
        self.watch = Watch()
        self.is_alive = _liveness_of_loop()
        """Tells whether the event loop is there and not closed, in this process."""


class PeriodicTask:
    """Repeats work on the running event loop.

    Between two runs there is a timer and no task: an event loop that ends drops its timers, and complains about tasks that were not
    cancelled.

    Args:
        interval: seconds between the end of one run and the start of the next.
        work: what is repeated; its failures are logged and do not stop the repetition.
    """

    def __init__(self, interval: float, work: Work) -> None:
        self._interval = interval
        self._work = RepeatedWork(work)
        self._stopped = False
        self.task: asyncio.Task[None] | None = None
        """The run under way, if any."""
        self._schedule()

    def stop(self) -> None:
        """Cancel the run under way and start no other."""
        self._stopped = True
        if self.task is not None:
            self.task.cancel()

    def _schedule(self) -> None:
        asyncio.get_running_loop().call_later(self._interval, self._begin)

    def _begin(self) -> None:
        if not self._stopped:
            self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            await self._work.once()
        finally:
            # A task holds its event loop, which is to be freed when it ends without `stop`.
            self.task = None
            if not self._stopped:
                self._schedule()


def _liveness_of_loop() -> Callable[[], bool]:
    # Weak, so that nobody who asks keeps the loop in memory.
    loop, process = ref(asyncio.get_running_loop()), os.getpid()

    def is_alive() -> bool:
        found = loop()
        # A forked child has a copy of the loop, which nobody runs.
        return found is not None and not found.is_closed() and is_process(process)

    return is_alive


def _cancel(task: "ref[asyncio.Task[Any]]") -> None:
    found = task()
    if found is not None:
        found.cancel()


def _nothing() -> None: ...


def _log_failure(work: object, task: asyncio.Task[Any]) -> None:
    error = None if task.cancelled() else task.exception()
    if isinstance(error, Exception):
        log_failure(work, error)
