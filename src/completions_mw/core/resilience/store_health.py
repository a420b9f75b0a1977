"""Health of a store: its breaker, its counters, and the log records about its failures."""

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Literal, NamedTuple, ParamSpec, TypeVar

from completions_mw.core.ports import Clock, StoreError, StoreOverloadedError, StoreRefusalError
from completions_mw.core.resilience.breaker import Breaker
from completions_mw.core.resilience.throttle import Throttle
from completions_mw.core.telemetry.log import LOG_SECONDS, log_event
from completions_mw.errors import ServiceUnavailableError

P = ParamSpec("P")
T = TypeVar("T")

Policy = Literal["local", "open", "closed", "spool", "bypass"]
"""Behaviour while a store is down: `local` applies a share of the limits, `open` admits, `closed` refuses, `spool` posts later, `bypass`
does without it."""

_WARNING_POLICIES: Final = {"local", "open", "bypass"}
_RETRY_HEADERS: Final = (("retry-after", "1"),)


class StoreSnapshot(NamedTuple):
    """Counters of a store since the process started."""

    store: str
    """Name of the store: `admission`, `ledger`, `keys` or `cache`."""
    open: bool
    """Whether the store's breaker is open, so that only probes reach the store."""
    failures: int
    """Number of calls that the store did not answer."""
    degraded: int
    """Number of calls that were handled by the policy instead of the store."""
    overloaded: int = 0
    """Number of calls that were refused because too many waited for the store."""


class StoreHealth:
    """Calls a store through its breaker, and logs its failures and recoveries.

    Args:
        name: name of the store in logs: `admission`, `ledger`, `keys` or `cache`.
        clock: time, for the breaker and for throttled log records.
    """

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self.breaker = Breaker(clock)
        self.failures = 0
        self.degraded = 0
        self.overloaded = 0
        self.clock = clock
        self._lines = Throttle(LOG_SECONDS)
        self._logged_policies: list[Policy] = []
        """The policy of the last record about a failure, until the recovery is logged; a list, because `pop` is atomic."""

    async def call(self, policy: Policy, method: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a method of the store and return its result.

        Args:
            policy: behaviour of the calling code without the store, for the log.
            method: method of the store.
            *args: arguments of the method.
            **kwargs: keyword arguments of the method.

        Raises:
            StoreOverloadedError: too many calls wait for the store, which is well; counts as no failure, and is not logged.
            StoreRefusalError: the store refused this call alone, which does not count as a failure.
            StoreError: the store did not answer, or was not called because its breaker is open.
        """
        if self.breaker.is_in_doubt and not self.breaker.allows():
            self.degraded += 1
            raise StoreError("The store is not asked until a probe has succeeded.")
        try:
            answer = await method(*args, **kwargs)
        except StoreOverloadedError:
            self.overloaded += 1
            raise
        except StoreError as error:
            self._failed(error, policy)
            raise
        if self.breaker.is_in_doubt:
            self.breaker.succeeded()
        if self._logged_policies:
            self._recovered()
        return answer

    def snapshot(self) -> StoreSnapshot:
        """Return the store's counters, for operators."""
        return StoreSnapshot(self.name, self.breaker.is_open, self.failures, self.degraded, self.overloaded)

    def _failed(self, error: StoreError, policy: Policy) -> None:
        if not isinstance(error, StoreRefusalError):
            self.breaker.failed()
            self.failures += 1
        self.degraded += 1
        if self._lines.ready(self.clock.monotonic()):
            self._logged_policies[:] = [policy]
            level = logging.WARNING if policy in _WARNING_POLICIES else logging.ERROR
            # Only names of classes, because texts of drivers may quote addresses.
            cause = None if error.__cause__ is None else type(error.__cause__).__name__
            log_event(level, "store_degraded", store=self.name, policy=policy, error=type(error).__name__, cause=cause)

    def _recovered(self) -> None:
        with suppress(IndexError):
            policy = self._logged_policies.pop()
            log_event(logging.INFO, "store_recovered", store=self.name, policy=policy)


def unavailable_error(text: str, code: str) -> ServiceUnavailableError:
    """Return the error for a request that is refused because a store is down."""
    error = ServiceUnavailableError(text, code=code, headers=_RETRY_HEADERS)
    error.next_target = False
    return error


def overloaded_error() -> ServiceUnavailableError:
    """Return the error for a request that is refused because too many others wait for a store."""
    return unavailable_error("Too many requests are under way. Please try again.", "overloaded")
