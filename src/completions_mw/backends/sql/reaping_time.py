"""The time by which reservations expire: the wall clock, which may jump, checked against the monotonic clock."""

from completions_mw.core.ports import Clock


class ReapingTime:
    """The time by which expired reservations are reaped.

    A wall clock that is set forward makes running requests look expired until their processes renew them. So what it has gained counts
    only after `hold` seconds of the monotonic clock, in which every process that is alive has renewed; so does all of it in a new process.

    Args:
        clock: wall clock and monotonic clock.
        hold: seconds after which the wall clock is believed; 0 to believe it at once.
    """

    __slots__ = ("_before", "_clock", "_hold", "_lowest", "_since")

    def __init__(self, clock: Clock, hold: float) -> None:
        self._clock = clock
        self._hold = hold
        self._since = clock.monotonic()
        self._lowest = clock.time() - self._since
        """Smallest lead of the wall clock over the monotonic clock since `_since`."""
        self._before: float | None = None
        """Smallest lead in the time before `_since`; None while there was none."""

    def now(self) -> int | None:
        """Return the time in milliseconds since the epoch; None while no reservation may be reaped."""
        monotonic, wall = self._clock.monotonic(), self._clock.time()
        if self._hold == 0:
            return int(wall * 1000)
        lead = wall - monotonic
        if monotonic - self._since < self._hold:
            self._lowest = min(self._lowest, lead)
        else:
            # The last lead that was seen counts on, since the clock may have jumped at any time after it.
            self._before, self._lowest, self._since = min(self._lowest, lead), lead, monotonic
        return None if self._before is None else int((monotonic + min(self._before, self._lowest)) * 1000)
