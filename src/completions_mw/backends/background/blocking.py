"""Work beside requests for threads and greenlets: each process repeats it in one thread."""

import atexit
import os
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from completions_mw.backends.background.watch import CHECK_SECONDS, Watch
from completions_mw.backends.background.work import RepeatedWork, T, Work, is_process, log_failure
from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.ownership import PerProcess
from completions_mw.blocking import run_sync
from completions_mw.core.ports import Stopping, Watched

JOIN_SECONDS: Final = 5.0
"""Seconds that a gateway that is closed, or a process that exits, waits for work under way."""


class BlockingBackground(PerProcess):
    """The `Background` port for threads and greenlets.

    `complete` runs its work inline; `keep` repeats work in one thread, which each process starts for itself.
    """

    def reset(self) -> None:
        self._thread = PeriodicThread()
        self._watch = Watch()
        self._is_alive = partial(is_process, os.getpid())

    async def complete(self, work: Coroutine[Any, Any, T]) -> T:
        return await work

    def keep(self, interval: float, work: Work) -> Callable[[], bool]:
        self._thread.keep(interval, work)
        return self._is_alive

    def watch(self, watched: Watched) -> None:
        self._watch.add(watched)
        self.keep(CHECK_SECONDS, self._watch.check)

    def unwatch(self, watched: Watched) -> None:
        self._watch.discard(watched)

    def canceller(self) -> Callable[[], None]:
        return _nothing

    def watch_server(self, stopping: Stopping) -> None:
        """Tell nobody: servers wait for their threads, and what is not written when a process ends is written then."""

    def is_stop(self, error: BaseException) -> bool:
        return False

    async def aclose(self) -> None:
        """Stop what `keep` started in this process, and wait up to `JOIN_SECONDS` for work under way."""
        thread, self._thread = self._thread, PeriodicThread()
        thread.stop()
        thread.join()


def _nothing() -> None: ...


class PeriodicThread:
    """Repeats work in one thread, which starts with the first work that is kept."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._works: dict[Work, RepeatedWork] = {}
        self._due: dict[Work, tuple[float, float]] = {}
        """For each work the monotonic time of its next run and its interval, in seconds."""
        self._thread = threading.Thread(target=self._run, name="completions_mw-upkeep", daemon=True)
        self._stopped = False

    def keep(self, interval: float, work: Work) -> None:
        """Repeat `work` every `interval` seconds, unless it is repeated already."""
        if work in self._works:
            return
        with self._changed:
            if work in self._works or self._stopped:
                return
            is_first = not self._works
            self._works[work] = RepeatedWork(work)
            self._due[work] = SYSTEM_CLOCK.monotonic() + interval, interval
            self._changed.notify()
            if is_first:
                # Last, because a greenlet may be killed while it waits for the thread that it has started.
                self._start(work)

    def stop(self) -> None:
        """Let the thread end after the work under way."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def join(self) -> None:
        """Wait up to `JOIN_SECONDS` for the thread to end."""
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(JOIN_SECONDS)

    def _start(self, work: Work) -> None:
        _started.threads.add(self)
        try:
            self._thread.start()
        except RuntimeError as error:
            # Too many threads: no reason to fail a request, and the next request tries again.
            del self._works[work], self._due[work]
            _started.threads.discard(self)
            log_failure(work, error)

    def _run(self) -> None:
        while (work := self._next()) is not None:
            try:
                run_sync(work.once())
            except RuntimeError as error:
                # Something of the host app waits for an event loop; the rest goes on.
                log_failure(work, error)
        _started.threads.discard(self)

    def _next(self) -> RepeatedWork | None:
        """Wait until some work is due and return that work; None once the thread is stopped."""
        with self._changed:
            while not self._stopped:
                now = SYSTEM_CLOCK.monotonic()
                work, (due, interval) = min(self._due.items(), key=lambda item: item[1])
                if due <= now:
                    self._due[work] = now + interval, interval
                    return self._works[work]
                self._changed.wait(due - now)
        return None


class _StartedThreads(PerProcess):
    """The threads of this process that have not ended. A forked child has none of them, and their locks stay as they were at the fork."""

    def reset(self) -> None:
        self.threads: set[PeriodicThread] = set()


_started: Final = _StartedThreads()


@atexit.register
def _stop_threads() -> None:
    """End all threads before the interpreter ends: a thread inside a database driver may crash a process that ends."""
    threads = _started.threads.copy()
    for thread in threads:
        thread.stop()
    for thread in threads:
        thread.join()
