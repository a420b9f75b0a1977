"""Frames of the content type `application/vnd.amazon.eventstream`.

A frame is a prelude of 12 bytes (the length of the frame, the length of its headers, the checksum of these two), headers, a payload, and
the checksum of all before it. Lengths are big-endian, checksums CRC-32. A header is the length of its name (1 byte), the name, a type
(1 byte) and a value. Source: https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html#streaming-event-stream and
https://smithy.io/2.0/aws/amazon-eventstream.html.
"""

from collections.abc import Iterator
from struct import Struct, error
from typing import Final, NamedTuple
from zlib import crc32

from completions_mw.errors import UpstreamError

_prelude: Final = Struct("!III")
_checksum: Final = Struct("!I")
_short: Final = Struct("!H")
_OVERHEAD: Final = _prelude.size + _checksum.size
_SIZES: Final = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a header's value by its type: booleans, integers, a time, a UUID."""
_BYTES: Final = 6
_STRING: Final = 7


class Frame(NamedTuple):
    """A frame: its headers that are text, and its payload."""

    headers: dict[str, str]
    payload: bytes


class FrameDecoder:
    """Splits the bytes of an answer into frames, however the network has split them.

    Args:
        max_frame_bytes: bytes that one frame may have.
    """

    __slots__ = ("_buffer", "_max_frame_bytes")

    def __init__(self, max_frame_bytes: int) -> None:
        self._buffer = bytearray()
        self._max_frame_bytes = max_frame_bytes

    def feed(self, piece: bytes) -> Iterator[Frame]:
        """Yield the frames that `piece` completes.

        Raises:
            UpstreamError: the bytes are not frames, a checksum is wrong, or a frame is too large. The decoder must not be used after it.
        """
        self._buffer += piece
        while len(self._buffer) >= _prelude.size:
            size, headers_size, checksum = _prelude.unpack_from(self._buffer)
            if crc32(self._buffer[:8]) != checksum or size < _OVERHEAD + headers_size:
                raise _malformed("a frame without a valid prelude")
            if size > self._max_frame_bytes:
                raise UpstreamError("The upstream provider sent more than is accepted.", code="upstream_too_large")
            if len(self._buffer) < size:
                return
            frame = bytes(self._buffer[:size])
            del self._buffer[:size]
            if crc32(frame[: -_checksum.size]) != _checksum.unpack(frame[-_checksum.size :])[0]:
                raise _malformed("a frame with a wrong checksum")
            end = _prelude.size + headers_size
            yield Frame(_headers(frame[_prelude.size : end]), frame[end : -_checksum.size])


def _headers(block: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    try:
        while at < len(block):
            name_end = at + 1 + block[at]
            name, kind = block[at + 1 : name_end].decode(), block[name_end]
            at = name_end + 1
            if kind in (_BYTES, _STRING):
                size = _short.unpack_from(block, at)[0]
                at += _short.size
            else:
                size = _SIZES[kind]
            value = block[at : at + size]
            at += size
            if kind == _STRING:
                found[name] = value.decode()
    except (LookupError, UnicodeDecodeError, error):
        raise _malformed("a frame with malformed headers") from None
    if at > len(block):
        raise _malformed("a frame with malformed headers")
    return found


def _malformed(what: str) -> UpstreamError:
    return UpstreamError(f"The upstream provider sent {what}.", code="upstream_protocol_error")
