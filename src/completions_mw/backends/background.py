"""Work beside requests: the `Background` port for threads and greenlets, and for event loops."""

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine, Hashable
from contextvars import Context
from logging import ERROR
from typing import Any, Final, Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

import anyio

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.models.tasks import Task, spawn
from completions_mw.core.blocking import run
from completions_mw.core.store_health import LOG_SECONDS, log_event
from completions_mw.core.turns import Turns

T = TypeVar("T")
Work = Callable[[], Coroutine[Any, Any, None]]

CLOSE_SECONDS: Final = 5.0
"""How long `aclose`, and a process that exits, wait for what is under way."""


class BlockingBackground:
    """Runs what is to be completed where it is asked for, and what is to be kept in one thread of each process that asks for it."""

    def __init__(self) -> None:
        # A fork takes along no thread, and locks as they happen to be: a child starts anew.
        self._threads: dict[int, _UpkeepThread] = {}

    async def complete(self, work: Coroutine[Any, Any, T]) -> T:
        return await work

    def keep(self, interval: float, work: Work) -> None:
        process = os.getpid()
        thread = self._threads.get(process)
        if thread is None:
            thread = self._threads.setdefault(process, _UpkeepThread())
        thread.keep(interval, work)

    async def aclose(self) -> None:
        thread = self._threads.pop(os.getpid(), None)
        if thread is not None:
            thread.stop()
            thread.join()


class AsyncBackground:
    """Runs everything in tasks of its own, on the event loop that asks for it, asyncio's or trio's."""

    def __init__(self) -> None:
        self._running: set[_Completion[Any]] = set()
        self._kept: WeakKeyDictionary[Hashable, dict[Work, _Upkeep]] = WeakKeyDictionary()

    async def complete(self, work: Coroutine[Any, Any, T]) -> T:
        completion = _Completion(work, _event_loop())
        # An event loop itself holds its tasks weakly.
        self._running.add(completion)
        completion.start(self._running.discard)
        return await completion.result()

    def keep(self, interval: float, work: Work) -> None:
        loop = _event_loop()
        kept = self._kept.get(loop)
        if kept is None:
            kept = self._kept.setdefault(loop, {})
        if work not in kept:
            # The context is a request's, and the work is nobody's.
            kept[work] = Context().run(_upkeep, loop, interval, work)

    async def aclose(self) -> None:
        """Stop what `keep` started on this event loop, and wait a moment for what is to be completed on it."""
        loop = _event_loop()
        kept = tuple(self._kept.pop(loop, {}).values())
        for upkeep in kept:
            upkeep.stop()
        running = [completion for completion in tuple(self._running) if completion.loop is loop]
        with anyio.move_on_after(CLOSE_SECONDS):
            for wait in [upkeep.wait for upkeep in kept] + [completion.wait for completion in running]:
                await wait()


def _event_loop() -> Hashable:
    """Return what stands for the event loop that runs."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        import trio

        return trio.lowlevel.current_trio_token()


class _Repeated:
    """Work that may fail, again and again."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._lines = Turns(LOG_SECONDS)

    async def once(self) -> None:
        try:
            await self._work()
        except Exception as error:
            if self._lines.take(SYSTEM_CLOCK.monotonic()):
                _log(self._work, error)


class _Completion(Generic[T]):
    """Work with somebody who waits for it, at first."""

    def __init__(self, work: Coroutine[Any, Any, T], loop: Hashable) -> None:
        self.loop = loop
        self._work = work
        self._task: Task | None = None
        self._results: list[T] = []
        self._error: BaseException | None = None
        self._is_awaited = True

    def __del__(self) -> None:
        # Of an event loop that ended before it began with the work, which Python would complain about.
        self._work.close()

    def start(self, on_end: "Callable[[_Completion[T]], None]") -> None:
        self._task = spawn(lambda: self._run(on_end))

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
            # The traceback holds this frame, and would hold the request with it.
            del error
        return self._results[0]

    async def wait(self) -> None:
        if self._task is not None:
            await self._task.wait()

    async def _run(self, on_end: "Callable[[_Completion[T]], None]") -> None:
        try:
            self._results.append(await self._work)
        except Exception as error:
            self._error = error
            if not self._is_awaited:
                _log(self._work, error)
        except BaseException as error:
            self._error = error
            raise
        finally:
            self._task = None
            on_end(self)


class _Upkeep(Protocol):
    """Work that repeats itself on an event loop."""

    def stop(self) -> None: ...

    async def wait(self) -> None: ...


def _upkeep(loop: Hashable, interval: float, work: Work) -> _Upkeep:
    return _TimerUpkeep(interval, work) if isinstance(loop, asyncio.AbstractEventLoop) else _TaskUpkeep(interval, work)


class _TimerUpkeep:
    """For asyncio, by timers: a loop that ends forgets them, and complains about a task that sleeps if nobody cancels it."""

    def __init__(self, interval: float, work: Work) -> None:
        self._interval = interval
        self._work = _Repeated(work)
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


class _TaskUpkeep:
    """For trio, by a system task, which ends with its loop."""

    def __init__(self, interval: float, work: Work) -> None:
        self._interval = interval
        self._work = _Repeated(work)
        self._task = spawn(self._run)

    def stop(self) -> None:
        self._task.cancel()

    async def wait(self) -> None:
        await self._task.wait()

    async def _run(self) -> None:
        while True:
            await anyio.sleep(self._interval)
            await self._work.once()


class _UpkeepThread:
    """Repeats work in a thread, which starts with the first of it."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self._changed = threading.Condition()
        self._works: dict[Work, _Repeated] = {}
        self._due: dict[Work, tuple[float, float]] = {}
        """When each is to run next, and its interval."""
        self._thread = threading.Thread(target=self._run, name="completions_mw-upkeep", daemon=True)
        self._stopped = False

    def keep(self, interval: float, work: Work) -> None:
        if work in self._works:
            return
        with self._changed:
            if work in self._works or self._stopped:
                return
            if not self._works and not self._start(work):
                return
            self._works[work] = _Repeated(work)
            self._due[work] = SYSTEM_CLOCK.monotonic() + interval, interval
            self._changed.notify()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def join(self) -> None:
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(CLOSE_SECONDS)

    def _start(self, work: Work) -> bool:
        try:
            self._thread.start()
        except RuntimeError as error:
            # Too many threads: no reason to fail the request, and the next one tries again.
            _log(work, error)
            return False
        _threads.add(self)
        return True

    def _run(self) -> None:
        while (work := self._next()) is not None:
            run(work.once())
        _threads.discard(self)

    def _next(self) -> _Repeated | None:
        """Wait for the next work to become due, and return it; None once there is nothing to wait for any more."""
        with self._changed:
            while not self._stopped:
                now = SYSTEM_CLOCK.monotonic()
                work, (due, interval) = min(self._due.items(), key=lambda item: item[1])
                if due <= now:
                    self._due[work] = now + interval, interval
                    return self._works[work]
                self._changed.wait(due - now)
        return None


def _log(work: object, error: Exception) -> None:
    log_event(ERROR, "background_failed", work=getattr(work, "__qualname__", type(work).__name__), error=type(error).__name__)


_threads: set[_UpkeepThread] = set()


@atexit.register
def _stop_threads() -> None:
    """End the threads before the interpreter does: one that is inside a database's driver then may crash the process."""
    threads = [thread for thread in tuple(_threads) if thread.process == os.getpid()]
    for thread in threads:
        thread.stop()
    for thread in threads:
        thread.join()
