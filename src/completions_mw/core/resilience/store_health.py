"""How a store is doing: whether to ask it at all, and what its operator is told."""

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Literal, NamedTuple, ParamSpec, TypeVar

from pydantic_core import to_json

from completions_mw.core.ports import Clock, StoreError, StoreRefusalError
from completions_mw.core.resilience.breaker import Breaker
from completions_mw.core.resilience.throttle import Throttle

P = ParamSpec("P")
T = TypeVar("T")

Policy = Literal["local", "open", "closed", "spool"]
"""What happens without the store: a share of the limits, everybody gets in, nobody does, or it is done later."""

event_log = logging.getLogger("completions_mw")
LOG_SECONDS: Final = 10.0
_HARMLESS: Final = {"local", "open"}


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
        if not self.breaker.allows():
            self.degraded += 1
            raise StoreError("The store is not asked until a probe has succeeded.")
        try:
            answer = await method(*args, **kwargs)
        except StoreError as error:
            self._failed(error, policy)
            raise
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
            cause = {} if error.__cause__ is None else {"cause": type(error.__cause__).__name__}
            log_event(level, "store_degraded", store=self.name, policy=policy, error=type(error).__name__, **cause)

    def _recovered(self) -> None:
        with suppress(IndexError):
            policy = self._told.pop()
            log_event(logging.INFO, "store_recovered", store=self.name, policy=policy)


def log_event(level: int, event: str, **values: object) -> None:
    """Write one line of JSON for the operator. A handler of the host app that fails must not fail the request."""
    with suppress(Exception):
        event_log.log(level, "%s", to_json({"event": event, **values}, ensure_ascii=True).decode())
