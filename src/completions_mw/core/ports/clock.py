"""Time."""

from collections.abc import Callable
from typing import NamedTuple


class Clock(NamedTuple):
    """The only source of time."""

    monotonic: Callable[[], float]
    """Seconds; for deadlines and durations."""
    time: Callable[[], float]
    """Seconds since the epoch; for what the wire and the operator see."""
