"""Something that only one of many threads may do, and only once in a while."""


class Turns:
    """Gives a turn at most every so many seconds. No lock is needed: `list.pop` hands an item to one thread only.

    Args:
        seconds: between two turns.
        first: when the first one is, on a monotonic clock.
    """

    __slots__ = ("_next", "_seconds")

    def __init__(self, seconds: float, first: float = float("-inf")) -> None:
        self._seconds = seconds
        self._next = [first]

    def take(self, now: float) -> bool:
        """Tell whether it is the asker's turn."""
        try:
            due = self._next.pop()
        except IndexError:
            # Another thread is asking at this moment.
            return False
        taken = now >= due
        self._next.append(now + self._seconds if taken else due)
        return taken
