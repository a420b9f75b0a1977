"""Throttle of work that one of many threads does, at most once in some seconds."""

from typing import Final
from weakref import WeakSet


class Throttle:
    """Lets `ready` return True at most once every `seconds`, across all threads.

    Needs no lock, because `list.pop` gives an item to only one thread.

    Args:
        seconds: minimum of seconds between two turns.
        first: time of the first turn, in seconds of the monotonic clock.
    """

    __slots__ = ("__weakref__", "_next", "_seconds")

    def __init__(self, seconds: float, first: float = float("-inf")) -> None:
        self._seconds = seconds
        self._next = [first]
        _all.add(self)

    @property
    def due(self) -> float:
        """Time of the next turn. While another thread takes one, there is none."""
        return next(iter(self._next), float("inf"))

    def ready(self, now: float) -> bool:
        """Return whether a turn is due at `now` (seconds of the monotonic clock), and take it."""
        try:
            due = self._next.pop()
        except IndexError:
            # Another thread is within this method.
            return False
        taken = now >= due
        self._next.append(now + self._seconds if taken else due)
        return taken


_all: Final[WeakSet[Throttle]] = WeakSet()


def rearm_after_fork() -> None:
    """Repair throttles in a new child process: a thread of the parent that was within `ready` does not exist in the child."""
    for throttle in _all:
        if not throttle._next:
            throttle._next.append(float("-inf"))
