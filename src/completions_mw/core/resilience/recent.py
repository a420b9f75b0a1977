"""How often something happened in the last seconds."""

from typing import Final

RECENT_SECONDS: Final = 10
"""Seconds for which events count."""


class RecentCount:
    """Counts what happens, and forgets it after 10 seconds.

    Threads may lose an event to each other when a second begins, which the bounds made of these counts can bear. There is no lock, because
    every request counts.
    """

    __slots__ = ("_counts", "_second")

    def __init__(self) -> None:
        self._counts = [0] * RECENT_SECONDS
        """Number of events in each second, at the index `second % RECENT_SECONDS`."""
        self._second = 0

    def add(self, now: float) -> None:
        """Count an event at `now`, in seconds of the monotonic clock."""
        second = int(now)
        if second != self._second:
            self._turn(second)
        self._counts[second % RECENT_SECONDS] += 1

    def total(self, now: float) -> int:
        """Return the number of events in the last 10 seconds."""
        second = int(now)
        if second != self._second:
            self._turn(second)
        return sum(self._counts)

    def clear(self) -> None:
        """Forget all events."""
        self._counts = [0] * RECENT_SECONDS

    def _turn(self, second: int) -> None:
        passed = second - self._second
        self._second = second
        for one in range(max(0, passed - RECENT_SECONDS), passed):
            self._counts[(second - one) % RECENT_SECONDS] = 0
