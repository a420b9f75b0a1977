"""The memory for bodies that are being received."""

from typing import Final

from completions_mw.errors import overloaded_error

PAGE: Final = 8192
"""Bytes of which the room is counted. The first ones of a body are free, so that most requests count nothing."""


class BodyRoom:
    """Bytes that the bodies of all requests of a process may have together while they are received.

    Args:
        max_bytes: maximum of bytes.
    """

    __slots__ = ("free_pages",)

    def __init__(self, max_bytes: int) -> None:
        # A list, because threads take pages at the same time, and its methods are atomic.
        self.free_pages = [None] * (max_bytes // PAGE)


class BodyShare:
    """What one body takes of the room, given back at the end of the `with` block.

    Args:
        room: the room.
    """

    __slots__ = ("_pages", "_room", "_size")

    def __init__(self, room: BodyRoom) -> None:
        self._room = room
        self._size = 0
        self._pages = 0

    def __enter__(self) -> "BodyShare":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pages:
            self._room.free_pages.extend([None] * self._pages)

    def take(self, size: int) -> None:
        """Take room for a piece of the body.

        Raises:
            ServiceUnavailableError: there is no room left.
        """
        self._size += size
        try:
            while self._size > PAGE * (self._pages + 1):
                self._room.free_pages.pop()
                self._pages += 1
        except IndexError:
            raise overloaded_error() from None
