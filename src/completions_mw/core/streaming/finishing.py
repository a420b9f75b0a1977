"""Answers that are read to their end though their clients have left: the setting `abandoned = "finish"` (docs/promises.md, Money)."""

from typing import Final

from completions_mw.core.ports import Clock
from completions_mw.http import ClientConnection

MAX_FINISHING: Final = 16
"""Answers of a process that are read on without their clients at the same time."""
FINISH_SECONDS: Final = 60.0
"""Seconds for which an answer is read on without its client."""


class Finishing:
    """The places for answers that are read on without their clients. One that has no place is stopped.

    Args:
        places: number of places.
        seconds: time for which an answer may keep its place.
    """

    def __init__(self, places: int = MAX_FINISHING, seconds: float = FINISH_SECONDS) -> None:
        # A list, because threads take places at the same time, and its methods are atomic.
        self._free = [None] * places
        self.seconds = seconds

    def take(self) -> bool:
        """Take a place; return whether there was one."""
        try:
            self._free.pop()
        except IndexError:
            return False
        return True

    def give_back(self) -> None:
        """Give a place back."""
        self._free.append(None)


class PatientConnection:
    """The connection of a client who may leave before the answer has begun: it seems to be there as long as its answer has a place.

    Args:
        connection: connection of the client.
        finishing: places.
        clock: time.
    """

    def __init__(self, connection: ClientConnection, finishing: Finishing, clock: Clock) -> None:
        self._connection = connection
        self._finishing: Finishing | None = finishing
        self._now = clock.monotonic
        self._until: float | None = None

    def fileno(self) -> int:
        return self._connection.fileno()

    def is_gone(self) -> bool:
        if not self._connection.is_gone():
            return False
        if self._until is None and self._finishing is not None and self._finishing.take():
            self._until = self._now() + self._finishing.seconds
        return self._until is None or self._now() >= self._until

    def release(self) -> None:
        """Note that the answer has begun or failed: from now on a client that has left is gone."""
        if self._until is not None and self._finishing is not None:
            self._finishing.give_back()
        self._until = self._finishing = None
