"""Something that only one of many threads may do, and only once in a while."""

from typing import Final
from weakref import WeakSet


class Throttle:
    """Gives a turn at most every so many seconds. No lock is needed: `list.pop` hands an item to one thread only.

    Args:
        seconds: between two turns.
        first: when the first one is, on a monotonic clock.
    """

    __slots__ = ("__weakref__", "_next", "_seconds")

    def __init__(self, seconds: float, first: float = float("-inf")) -> None:
        self._seconds = seconds
        self._next = [first]
        _all.add(self)

    def ready(self, now: float) -> bool:
        """Tell whether it is the asker's turn."""
        try:
            due = self._next.pop()
        except IndexError:
            # Another thread is asking at this moment.
            return False
        taken = now >= due
        self._next.append(now + self._seconds if taken else due)
        return taken


_all: Final[WeakSet[Throttle]] = WeakSet()


def rearm_after_fork() -> None:
    """In a new child process: give a turn where a thread of the parent was asking for it. Only one thread goes on in a child."""
    for turns in _all:
        if not turns._next:
            turns._next.append(float("-inf"))
