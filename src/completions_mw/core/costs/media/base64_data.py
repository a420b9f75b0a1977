"""Reads parts of base64 data without decoding all of it: an image of 20 MB has its size in a few bytes."""

from binascii import Error, a2b_base64
from typing import Final

_MAX_MEDIA_TYPE: Final = 256
"""Characters in which the data of a `data:` URL must begin."""


class UnreadableDataError(ValueError):
    """The data ends too early, or is not what its format says."""


class Reads:
    """How often data may still be read: each read of a few bytes takes longer than to receive them.

    Args:
        left: reads of all data together.
    """

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left


class Base64Data:
    """The bytes of a text in base64.

    Args:
        text: the base64, perhaps behind something else.
        start: index of the first character of the base64 in `text`.
        reads: how often it may be read; None for any number.
    """

    __slots__ = ("_reads", "_start", "_text")

    def __init__(self, text: str, start: int = 0, reads: Reads | None = None) -> None:
        self._text = text
        self._start = start
        self._reads = reads

    @classmethod
    def of_url(cls, url: str, reads: Reads | None = None) -> "Base64Data | None":
        """Return the data of a `data:` URL in base64; None for any other URL."""
        head, comma, _ = url[:_MAX_MEDIA_TYPE].partition(",")
        head = head.lower()
        is_base64 = bool(comma) and head.startswith("data:") and head.endswith(";base64")
        return cls(url, len(head) + 1, reads) if is_base64 else None

    def __len__(self) -> int:
        """Return the number of bytes, as of unpadded data: at most two more than there are."""
        return (len(self._text) - self._start) * 3 // 4

    def read(self, offset: int, count: int) -> bytes:
        """Return `count` bytes from `offset`.

        Raises:
            UnreadableDataError: there are fewer bytes, they are not in base64, or no reads are left.
        """
        if self._reads is not None:
            if self._reads.left <= 0:
                raise UnreadableDataError
            self._reads.left -= 1
        skipped, within = divmod(offset, 3)
        first = self._start + skipped * 4
        quads = -(-(within + count) // 3)
        try:
            # Not lenient: what other decoders skip would move all that follows.
            data = a2b_base64(self._text[first : first + quads * 4], strict_mode=True)[within : within + count]
        except (Error, ValueError):
            data = b""
        if len(data) < count:
            raise UnreadableDataError
        return data
