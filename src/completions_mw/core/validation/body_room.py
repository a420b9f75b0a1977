"""The memory for bodies that are being received."""

from completions_mw.errors import overloaded_error


class BodyRoom:
    """Bytes that the bodies of all requests of a process may have together while they are received.

    Args:
        max_bytes: maximum of bytes.
    """

    __slots__ = ("left",)

    def __init__(self, max_bytes: int) -> None:
        self.left = max_bytes
        """Bytes that no body takes."""


class BodyShare:
    """What one body takes of the room, given back at the end of the `with` block.

    Args:
        room: the room.
    """

    __slots__ = ("_room", "_size")

    def __init__(self, room: BodyRoom) -> None:
        self._room = room
        self._size = 0

    def __enter__(self) -> "BodyShare":
        return self

    def __exit__(self, *_: object) -> None:
        self._room.left += self._size

    def take(self, size: int) -> None:
        """Take room for a piece of the body.

        Raises:
            ServiceUnavailableError: there is no room left.
        """
        if size > self._room.left:
            raise overloaded_error()
        self._room.left -= size
        self._size += size
