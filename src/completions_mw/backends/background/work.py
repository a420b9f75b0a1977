"""Work beside requests, whose failures are logged: by their class alone, since their texts may hold anything."""

from collections.abc import Callable, Coroutine
from logging import ERROR
from typing import Any

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.core.resilience.throttle import Throttle
from completions_mw.core.telemetry.log import LOG_SECONDS, log_event

Work = Callable[[], Coroutine[Any, Any, None]]


class RepeatedWork:
    """Work that is repeated, and may fail each time: a failure is logged at most once in `LOG_SECONDS`.

    Args:
        work: what is repeated.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._lines = Throttle(LOG_SECONDS)

    async def once(self) -> None:
        """Do the work once. Its exceptions are logged, not raised."""
        try:
            await self._work()
        except Exception as error:
            if self._lines.ready(SYSTEM_CLOCK.monotonic()):
                log_failure(self._work, error)


def log_failure(work: object, error: Exception) -> None:
    """Log that `work`, for which nobody waits, failed with `error`."""
    log_event(ERROR, "background_failed", work=getattr(work, "__qualname__", type(work).__name__), error=type(error).__name__)
