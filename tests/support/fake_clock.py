"""A clock that only moves when it is told to."""

from completions_mw.core.ports import Clock


class FakeClock:
    """Time in seconds: `now` since the epoch, and since an arbitrary start for the monotonic one."""

    def __init__(self, now: float = 1_795_406_400.0) -> None:
        self.now = now
        self.monotonic = 100.0

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.monotonic += seconds

    def clock(self) -> Clock:
        return Clock(monotonic=lambda: self.monotonic, time=lambda: self.now)
