"""The thread that repeats work beside blocking requests."""

import atexit
import os
import threading
from typing import Final

from completions_mw.backends.background.work import RepeatedWork, Work, log_failure
from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.blocking import run_sync

JOIN_SECONDS: Final = 5.0
"""How long an ending gateway or process waits for what is under way."""


class PeriodicThread:
    """Repeats work in a thread, which starts with the first of it."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self._changed = threading.Condition()
        self._works: dict[Work, RepeatedWork] = {}
        self._due: dict[Work, tuple[float, float]] = {}
        """When each is to run next, and its interval."""
        self._thread = threading.Thread(target=self._run, name="completions_mw-upkeep", daemon=True)
        self._stopped = False

    def keep(self, interval: float, work: Work) -> None:
        """Repeat `work`, unless that is so already."""
        if work in self._works:
            return
        with self._changed:
            if work in self._works or self._stopped:
                return
            if not self._works and not self._start(work):
                return
            self._works[work] = RepeatedWork(work)
            self._due[work] = SYSTEM_CLOCK.monotonic() + interval, interval
            self._changed.notify()

    def stop(self) -> None:
        """Let it end after what is under way."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def join(self) -> None:
        """Wait a moment for its end."""
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(JOIN_SECONDS)

    def _start(self, work: Work) -> bool:
        try:
            self._thread.start()
        except RuntimeError as error:
            # Too many threads: no reason to fail the request, and the next one tries again.
            log_failure(work, error)
            return False
        _threads.add(self)
        return True

    def _run(self) -> None:
        while (work := self._next()) is not None:
            try:
                run_sync(work.once())
            except RuntimeError as error:
                # Something of the host app waits for an event loop; the rest goes on.
                log_failure(work, error)
        _threads.discard(self)

    def _next(self) -> RepeatedWork | None:
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


_threads: set[PeriodicThread] = set()


@atexit.register
def _stop_threads() -> None:
    """End the threads before the interpreter does: one that is inside a database's driver then may crash the process."""
    threads = [thread for thread in tuple(_threads) if thread.process == os.getpid()]
    for thread in threads:
        thread.stop()
    for thread in threads:
        thread.join()
