"""The time by which reservations expire: the wall clock, which may jump, checked against the monotonic clock."""

from collections.abc import Callable


class ReapingTime:
    """The time by which expired reservations are reaped.

    A wall clock that is set forward makes running requests look expired until their processes renew them. So what it has gained counts
    only after `hold` seconds of the monotonic clock, in which every process that is alive has renewed; so does all of it in a new process.

    Args:
        monotonic: the monotonic clock, in seconds.
        hold: seconds after which the wall clock is believed; 0 to believe it at once.
    """

    __slots__ = ("_before", "_hold", "_lowest", "_monotonic", "_since")

    def __init__(self, monotonic: Callable[[], float], hold: float) -> None:
        self._monotonic = monotonic
        self._hold = hold
        self._since: float | None = None
        """Start of the current window, in seconds of the monotonic clock; None before the wall clock was seen."""
        self._lowest = 0.0
        """Smallest lead of the wall clock over the monotonic clock in the current window."""
        self._before: float | None = None
        """Smallest lead in the window before; None in the first window."""

    def at(self, wall: float) -> float | None:
        """Return the time in seconds since the epoch; None while no reservation may be reaped.

        Args:
            wall: what the wall clock says now, in seconds since the epoch.
        """
        if self._hold == 0:
            return wall
        monotonic = self._monotonic()
        lead = wall - monotonic
        if self._since is None:
            self._since, self._lowest = monotonic, lead
        elif monotonic - self._since < self._hold:
            self._lowest = min(self._lowest, lead)
        else:
            # The last lead that was seen counts on, since the clock may have jumped at any time after it.
            self._before, self._lowest, self._since = min(self._lowest, lead), lead, monotonic
        return None if self._before is None else monotonic + min(self._before, self._lowest)
