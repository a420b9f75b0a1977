"""Repeated work, and the log lines of its failures: a failure is logged by its class alone, since its text may hold anything."""

import os
from collections.abc import Callable, Coroutine
from logging import ERROR
from typing import Any, TypeVar

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.core.resilience.throttle import Throttle
from completions_mw.core.telemetry.log import LOG_SECONDS, log_event

T = TypeVar("T")
"""The result of work that is completed."""
Work = Callable[[], Coroutine[Any, Any, None]]
"""Starts one run of work that is repeated."""


class RepeatedWork:
    """Runs work that may fail each time; failures are logged at most once in `LOG_SECONDS`.

    Args:
        work: what is repeated.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._lines = Throttle(LOG_SECONDS)

    async def once(self) -> None:
        """Run the work once. Exceptions of the work are logged, not raised."""
        try:
            await self._work()
        except Exception as error:
            if self._lines.ready(SYSTEM_CLOCK.monotonic()):
                log_failure(self._work, error)


def log_failure(work: object, error: Exception) -> None:
    """Log `background_failed`: `work`, whose result no request waits for, failed with `error`."""
    log_event(ERROR, "background_failed", work=getattr(work, "__qualname__", type(work).__name__), error=type(error).__name__)


def is_process(id: int) -> bool:
    """Return whether this is the process with an id, and not a forked child of it."""
    return os.getpid() == id
