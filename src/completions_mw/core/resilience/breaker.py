"""Circuit breaker of a store: requests do not wait for a store that is down (docs/promises.md, Stores that fail)."""

from collections import deque
from typing import Final

from completions_mw.core.ports import Clock
from completions_mw.core.resilience.throttle import Throttle

MAX_FAILURES: Final = 5
"""Number of failures that open a breaker."""
WINDOW_SECONDS: Final = 10.0
"""Seconds in which that many failures open a breaker."""
PROBE_SECONDS: Final = 1.0
"""Seconds between two probes. Constant, so that a store that is back is used within 2 s; a probe delays one request by 50 ms."""


class Breaker:
    """Opens after 5 failures in 10 s without a success between them, then lets one probe through each second, until one succeeds.

    A success resets the count, so that a store that loses one answer in twenty does not open the breaker. A probe whose request was
    cancelled counts neither as a success nor as a failure.
    """

    __slots__ = ("_clock", "_failures", "_probes", "is_in_doubt")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: deque[float] = deque(maxlen=MAX_FAILURES)
        self._probes: Throttle | None = None
        self.is_in_doubt = False
        """Whether the store has not answered since its last failure. If not, the breaker is closed and no other method need be called."""

    @property
    def is_open(self) -> bool:
        """Whether the breaker is open: only probes reach the store."""
        return self._probes is not None

    def allows(self) -> bool:
        """Tell whether the store may be asked. While the breaker is open, the request that gets True is the probe."""
        probes = self._probes
        return probes is None or probes.ready(self._clock.monotonic())

    def succeeded(self) -> None:
        """Record that the store answered, and close the breaker."""
        self._failures.clear()
        self._probes = None
        self.is_in_doubt = False

    def failed(self) -> None:
        """Record a failure of the store, which may open the breaker."""
        now = self._clock.monotonic()
        self.is_in_doubt = True
        self._failures.append(now)
        # A copy, because a success in another thread may empty the deque.
        recent = tuple(self._failures)
        if self._probes is None and len(recent) == MAX_FAILURES and recent[0] >= now - WINDOW_SECONDS:
            self._probes = Throttle(PROBE_SECONDS, now + PROBE_SECONDS)
