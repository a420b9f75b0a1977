"""Work beside requests on event loops: what must be completed, and what is repeated, on asyncio and trio."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from contextvars import Context
from typing import Any, Generic, Protocol, TypeVar

import anyio

from completions_mw.backends.background.work import RepeatedWork, Work, log_failure
from completions_mw.backends.models.task_source import Task, spawn

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class CompletingTask(Protocol[T_co]):
    """Work with somebody who waits for it, at first."""

    loop: Hashable

    async def result(self) -> T_co:
        """Wait for its end and return what it returns, or leave it alone if the waiting is cancelled."""
        ...

    async def wait(self) -> None: ...


class _AsyncioCompletingTask(Generic[T]):
    def __init__(self, work: Coroutine[Any, Any, T], loop: Hashable, on_end: Callable[[object], None]) -> None:
        self.loop = loop
        self._work = work
        # Of the work itself, not of a wrapper: so it is closed even if the loop ends before it has begun.
        self._task: asyncio.Task[T] | None = asyncio.create_task(work)
        self._task.add_done_callback(lambda _: on_end(self))

    async def result(self) -> T:
        task = self._task
        assert task is not None
        try:
            await self.wait()
        except BaseException:
            task.add_done_callback(self._tell)
            raise
        # A failure's traceback holds those who wait, and they would hold the failure, and the request with it.
        self._task = None
        try:
            return task.result()
        finally:
            del task

    async def wait(self) -> None:
        if self._task is not None:
            await asyncio.wait([self._task])

    def _tell(self, task: asyncio.Task[T]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            log_failure(self._work, error)


class _TrioCompletingTask(Generic[T]):
    def __init__(self, work: Coroutine[Any, Any, T], loop: Hashable, on_end: Callable[[object], None]) -> None:
        self.loop = loop
        self._work = work
        self._on_end = on_end
        self._results: list[T] = []
        self._error: BaseException | None = None
        self._is_awaited = True
        self._task = spawn(self._run)

    async def result(self) -> T:
        try:
            await self.wait()
        except BaseException:
            self._is_awaited = False
            raise
        error, self._error = self._error, None
        try:
            if error is not None:
                raise error
        finally:
            # As for asyncio: nothing may hold the failure that its traceback holds.
            del error
        return self._results[0]

    async def wait(self) -> None:
        await self._task.wait()

    async def _run(self) -> None:
        try:
            self._results.append(await self._work)
        except Exception as error:
            self._error = error
            if not self._is_awaited:
                log_failure(self._work, error)
        except BaseException as error:
            self._error = error
            raise
        finally:
            self._on_end(self)


class PeriodicTask(Protocol):
    """Work that repeats itself on an event loop."""

    def stop(self) -> None:
        """End it, wherever it is."""
        ...

    async def wait(self) -> None: ...


class _TimerTask:
    """For asyncio, by timers: a loop that ends forgets them, and complains about a task that sleeps if nobody cancels it."""

    def __init__(self, interval: float, work: Work) -> None:
        self._interval = interval
        self._work = RepeatedWork(work)
        self._task: Task | None = None
        self._stopped = False
        self._schedule()

    def stop(self) -> None:
        self._stopped = True
        if self._task is not None:
            self._task.cancel()

    async def wait(self) -> None:
        if self._task is not None:
            await self._task.wait()

    def _schedule(self) -> None:
        asyncio.get_running_loop().call_later(self._interval, self._begin)

    def _begin(self) -> None:
        if not self._stopped:
            self._task = spawn(self._run)

    async def _run(self) -> None:
        try:
            await self._work.once()
        finally:
            # Not kept any longer, as it holds the loop.
            self._task = None
            if not self._stopped:
                self._schedule()


class _TrioTask:
    """For trio, by a system task, which ends with its loop."""

    def __init__(self, interval: float, work: Work) -> None:
        self._interval = interval
        self._work = RepeatedWork(work)
        self._task = spawn(self._run)

    def stop(self) -> None:
        self._task.cancel()

    async def wait(self) -> None:
        await self._task.wait()

    async def _run(self) -> None:
        while True:
            await anyio.sleep(self._interval)
            await self._work.once()


def complete(work: Coroutine[Any, Any, T], on_end: Callable[[object], None]) -> CompletingTask[T]:
    """Start `work` in a task of its own, in a copy of the caller's context; `on_end` is told when it has ended."""
    loop = event_loop()
    return (_AsyncioCompletingTask if _is_asyncio(loop) else _TrioCompletingTask)(work, loop, on_end)


def repeat(interval: float, work: Work) -> PeriodicTask:
    """Start to repeat `work`, in a context of its own: it outlives the request that asks for it."""
    kind: Callable[[float, Work], PeriodicTask] = _TimerTask if _is_asyncio(event_loop()) else _TrioTask
    return Context().run(kind, interval, work)


def event_loop() -> Hashable:
    """Return what stands for the event loop that runs."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        import trio

        return trio.lowlevel.current_trio_token()


def _is_asyncio(loop: Hashable) -> bool:
    return isinstance(loop, asyncio.AbstractEventLoop)
