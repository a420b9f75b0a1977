"""Spares requests the wait for a store that does not answer (docs/promises.md, Stores that fail)."""

from collections import deque
from typing import Final

from completions_mw.core.ports import Clock
from completions_mw.core.resilience.throttle import Throttle

FAILURES: Final = 5
WITHIN_SECONDS: Final = 10.0
OPEN_SECONDS: Final = 1.0
"""Not longer the longer it lasts: a store that is back must be in use within 2 s, and a probe a second costs one request 50 ms."""


class Breaker:
    """Opens after 5 failures in 10 s without a success between them, then lets one probe through each second, until one succeeds.

    A success resets the count, so that a store that loses one answer in twenty does not flap (docs/promises.md). A probe that never tells
    how it went, because its request was cancelled, is followed by the next one.
    """

    __slots__ = ("_clock", "_failures", "_probes", "is_in_doubt")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: deque[float] = deque(maxlen=FAILURES)
        self._probes: Throttle | None = None
        self.is_in_doubt = False
        """Whether the store has not answered since it failed to; only then the other methods have anything to tell."""

    @property
    def is_open(self) -> bool:
        """Whether the store counts as lost."""
        return self._probes is not None

    def allows(self) -> bool:
        """Tell whether the store may be asked; while the breaker is open, that makes the asker the probe."""
        probes = self._probes
        return probes is None or probes.ready(self._clock.monotonic())

    def succeeded(self) -> None:
        """Note that the store answered."""
        self._failures.clear()
        self._probes = None
        self.is_in_doubt = False

    def failed(self) -> None:
        """Note that it did not."""
        now = self._clock.monotonic()
        self.is_in_doubt = True
        self._failures.append(now)
        # A copy, as another thread's success may empty it between two looks.
        recent = tuple(self._failures)
        if self._probes is None and len(recent) == FAILURES and recent[0] >= now - WITHIN_SECONDS:
            self._probes = Throttle(OPEN_SECONDS, now + OPEN_SECONDS)
