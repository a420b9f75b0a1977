"""The port of time."""

from collections.abc import Callable
from typing import NamedTuple


class Clock(NamedTuple):
    """The only source of time in the core."""

    monotonic: Callable[[], float]
    """Returns seconds that are never set back; for deadlines and durations."""
    time: Callable[[], float]
    """Returns seconds since the epoch; for answers, logs and the ledger."""
