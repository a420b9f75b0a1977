"""Work beside requests that may fail: the operator is told, by the class of the failure alone."""

from collections.abc import Callable, Coroutine
from logging import ERROR
from typing import Any

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.core.resilience.throttle import Throttle
from completions_mw.core.telemetry.log import LOG_SECONDS, log_event

Work = Callable[[], Coroutine[Any, Any, None]]


class RepeatedWork:
    """Work that may fail again and again."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._lines = Throttle(LOG_SECONDS)

    async def once(self) -> None:
        """Do it."""
        try:
            await self._work()
        except Exception as error:
            if self._lines.ready(SYSTEM_CLOCK.monotonic()):
                log_failure(self._work, error)


def log_failure(work: object, error: Exception) -> None:
    """Write that `work` failed, and nobody waits for it."""
    log_event(ERROR, "background_failed", work=getattr(work, "__qualname__", type(work).__name__), error=type(error).__name__)
