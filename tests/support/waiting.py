"""Waits for what announces itself nowhere."""

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], bool], timeout: float = 30) -> None:
    """Return as soon as `condition` holds.

    Raises:
        AssertionError: it did not come to hold in time.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.005)
