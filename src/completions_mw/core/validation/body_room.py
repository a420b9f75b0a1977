"""The memory for bodies that are being received."""

from collections.abc import Iterator
from contextlib import contextmanager

from completions_mw.errors import overloaded_error


class BodyRoom:
    """Bytes that the bodies of all requests of a process may have together while they are received.

    Args:
        max_bytes: maximum of bytes.
    """

    __slots__ = ("_left",)

    def __init__(self, max_bytes: int) -> None:
        self._left = max_bytes

    @contextmanager
    def share(self) -> Iterator["BodyShare"]:
        """Give a body a share of the room, until the end of the `with` block."""
        share = BodyShare(self)
        try:
            yield share
        finally:
            self._left += share.size

    def take(self, size: int) -> None:
        """Take room for more bytes.

        Raises:
            ServiceUnavailableError: there is no room left.
        """
        if size > self._left:
            raise overloaded_error()
        self._left -= size


class BodyShare:
    """What one body takes of the room."""

    __slots__ = ("_room", "size")

    def __init__(self, room: BodyRoom) -> None:
        self._room = room
        self.size = 0
        """Bytes that were taken."""

    def take(self, size: int) -> None:
        """Take room for a piece of the body.

        Raises:
            ServiceUnavailableError: there is no room left.
        """
        self._room.take(size)
        self.size += size
