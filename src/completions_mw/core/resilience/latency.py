"""How soon a target answers (docs/routing.md, Order and weights)."""

from collections import deque
from math import exp
from typing import Final

DECAY_SECONDS: Final = 10.0
"""Seconds after which a measurement has lost two thirds of its weight."""
REMEMBERED: Final = 200
"""Number of latest measurements of which the 95th percentile is taken."""
ENOUGH: Final = 20
"""Minimum of measurements for a 95th percentile."""


class Latency:
    """Seconds from a request to the first byte of its answer: a moving average, which rises at once and falls slowly.

    With time the average falls to 0, also without any measurement, so that a target that was slow is asked again now and then. Source: the
    Peak EWMA load metric of Finagle, https://twitter.github.io/finagle/guide/Clients.html#power-of-two-choices-p2c-least-loaded.
    """

    __slots__ = ("_average", "_measured_at", "_open", "_streams", "_wholes")

    def __init__(self) -> None:
        self._average = 0.0
        self._measured_at = 0.0
        # Streams begin soon, whole answers come at their end.
        self._streams: deque[float] = deque(maxlen=REMEMBERED)
        self._wholes: deque[float] = deque(maxlen=REMEMBERED)
        self._open = 0

    def began(self) -> None:
        """Note that the target is asked."""
        self._open += 1

    def ended(self) -> None:
        """Note that the target has begun to answer, or has failed."""
        self._open -= 1

    def learn(self, now: float, seconds: float, *, is_stream: bool = True) -> None:
        """Take in that an answer, streamed or whole, began after so many seconds."""
        faded = self._faded(now)
        kept = exp(-(now - self._measured_at) / DECAY_SECONDS)
        self._average, self._measured_at = max(seconds, faded + seconds * (1 - kept)), now
        (self._streams if is_stream else self._wholes).append(seconds)

    def cost(self, now: float) -> float:
        """Return what one more request to the target costs in time: the average, for each request that waits there."""
        return self._faded(now) * (self._open + 1)

    def percentile_95(self, *, is_stream: bool = True) -> float | None:
        """Return the seconds within which 95 of 100 answers begin, streamed or whole; None if too few were measured."""
        measured = sorted(self._streams if is_stream else self._wholes)
        return measured[len(measured) * 95 // 100] if len(measured) >= ENOUGH else None

    def _faded(self, now: float) -> float:
        return self._average * exp(-(now - self._measured_at) / DECAY_SECONDS)
