"""How a store is doing: whether to ask it at all, and what its operator is told."""

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Literal, NamedTuple, ParamSpec, TypeVar

from completions_mw.core.ports import Clock, StoreError, StoreRefusalError
from completions_mw.core.resilience.breaker import Breaker
from completions_mw.core.resilience.throttle import Throttle
from completions_mw.core.telemetry.log import LOG_SECONDS, log_event
from completions_mw.errors import ServiceUnavailableError

P = ParamSpec("P")
T = TypeVar("T")

Policy = Literal["local", "open", "closed", "spool"]
"""What happens without the store: a share of the limits, everybody gets in, nobody does, or it is done later."""

_HARMLESS: Final = {"local", "open"}
_RETRY_SOON: Final = (("retry-after", "1"),)


class StoreSnapshot(NamedTuple):
    """How a store has been doing since the process started."""

    store: str
    open: bool
    """Whether it counts as lost at the moment."""
    failures: int
    """Questions that it did not answer."""
    degraded: int
    """Questions that got the policy's answer instead of the store's."""


class StoreHealth:
    """Asks a store for all who need it.

    Args:
        name: of the store, for the log: `admission`, `ledger` or `keys`; not its address.
        clock: tells the time.
    """

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self.breaker = Breaker(clock)
        self.failures = 0
        self.degraded = 0
        self.clock = clock
        self._lines = Throttle(LOG_SECONDS)
        self._told: list[Policy] = []
        """Holds the policy of the last line about a failure, until a line about the recovery."""

    async def call(self, policy: Policy, method: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a method of the store returns.

        Args:
            policy: what the asker does without the store, for the log.
            method: of the store.
            *args: of the method.
            **kwargs: of the method.

        Raises:
            StoreRefusalError: it has no answer to this question alone, which does not count as a failure.
            StoreError: it did not answer, or was not even asked, since it has not answered others.
        """
        if self.breaker.is_in_doubt and not self.breaker.allows():
            self.degraded += 1
            raise StoreError("The store is not asked until a probe has succeeded.")
        try:
            answer = await method(*args, **kwargs)
        except StoreError as error:
            self._failed(error, policy)
            raise
        if self.breaker.is_in_doubt:
            self.breaker.succeeded()
        if self._told:
            self._recovered()
        return answer

    def snapshot(self) -> StoreSnapshot:
        """Return how the store is doing, for operators."""
        return StoreSnapshot(self.name, self.breaker.is_open, self.failures, self.degraded)

    def _failed(self, error: StoreError, policy: Policy) -> None:
        if not isinstance(error, StoreRefusalError):
            self.breaker.failed()
            self.failures += 1
        self.degraded += 1
        if self._lines.ready(self.clock.monotonic()):
            self._told[:] = [policy]
            level = logging.WARNING if policy in _HARMLESS else logging.ERROR
            # Names of classes alone: what drivers say may quote addresses.
            cause = None if error.__cause__ is None else type(error.__cause__).__name__
            log_event(level, "store_degraded", store=self.name, policy=policy, error=type(error).__name__, cause=cause)

    def _recovered(self) -> None:
        with suppress(IndexError):
            policy = self._told.pop()
            log_event(logging.INFO, "store_recovered", store=self.name, policy=policy)


def unavailable_error(text: str, code: str) -> ServiceUnavailableError:
    """Return the error for a request that nobody can decide on while a store is down."""
    error = ServiceUnavailableError(text, code=code, headers=_RETRY_SOON)
    error.next_target = False
    return error
