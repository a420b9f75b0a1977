"""Circuit breaker: requests do not wait for a store or an upstream that is down (docs/promises.md, Stores that fail; docs/routing.md)."""

from collections import deque
from typing import Final

from completions_mw.core.ports import Clock
from completions_mw.core.resilience.throttle import Throttle

MAX_FAILURES: Final = 5
"""Number of failures that open a breaker."""
WINDOW_SECONDS: Final = 10.0
"""Seconds within which `MAX_FAILURES` failures open a breaker."""
PROBE_SECONDS: Final = 1.0
"""Seconds between two probes of a store. Constant, so that a store that is back is used within 2 s; a probe delays one request by 50 ms."""


class Breaker:
    """Opens after some failures in 10 s without a success between them, then lets one probe through now and then, until one succeeds.

    A success resets the count, so that a store that loses one answer in twenty does not open the breaker. A probe whose request was
    cancelled counts neither as a success nor as a failure.

    Args:
        clock: time.
        max_failures: number of failures that open the breaker.
        probe_seconds: seconds between two probes.
    """

    __slots__ = ("_clock", "_failures", "_probe_seconds", "_probes", "is_in_doubt", "opened_at")

    def __init__(self, clock: Clock, max_failures: int = MAX_FAILURES, probe_seconds: float = PROBE_SECONDS) -> None:
        self._clock = clock
        self._failures: deque[float] = deque(maxlen=max_failures)
        self._probe_seconds = probe_seconds
        self._probes: Throttle | None = None
        self.is_in_doubt = False
        """Whether there was no answer since the last failure. If not, the breaker is closed: no other method need be called."""
        self.opened_at = 0.0
        """When the breaker opened last, in seconds of the monotonic clock."""

    @property
    def is_open(self) -> bool:
        """Whether the breaker is open: only probes are let through."""
        return self._probes is not None

    def allows(self) -> bool:
        """Return whether a request is let through. While the breaker is open, the request that gets True is the probe."""
        probes = self._probes
        return probes is None or probes.ready(self._clock.monotonic())

    def seconds_until_probe(self) -> float:
        """Return the seconds until a request is let through; 0 if one would be now."""
        probes = self._probes
        return 0.0 if probes is None else max(0.0, probes.due - self._clock.monotonic())

    def succeeded(self) -> None:
        """Record an answer, and close the breaker."""
        self._failures.clear()
        self._probes = None
        self.is_in_doubt = False

    def failed(self) -> None:
        """Record a failure, which may open the breaker."""
        now = self._clock.monotonic()
        self.is_in_doubt = True
        self._failures.append(now)
        # A copy, because a success in another thread may empty the deque.
        recent = tuple(self._failures)
        if len(recent) == self._failures.maxlen and recent[0] >= now - WINDOW_SECONDS:
            self.open()

    def open(self) -> None:
        """Open the breaker, unless it is open."""
        if self._probes is None:
            now = self._clock.monotonic()
            self.is_in_doubt, self.opened_at = True, now
            self._probes = Throttle(self._probe_seconds, now + self._probe_seconds)
