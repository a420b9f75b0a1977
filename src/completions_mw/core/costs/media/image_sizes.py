"""Width and height of an image in pixels, from the head of its file: PNG, JPEG, GIF and WebP, the formats that OpenAI takes."""

from typing import Final, NamedTuple

from completions_mw.core.costs.media.base64_data import Base64Data, UnreadableDataError

_MAX_BLOCKS: Final = 1000
"""Blocks before the size that are passed over; images of cameras have a few dozen."""
_FRAME_MARKERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of JPEG segments that hold the size (ITU-T T.81, table B.1)."""
_BARE_MARKERS: Final = frozenset((0x01, *range(0xD0, 0xD9)))
"""Markers of JPEG segments that are a marker alone."""


class ImageSize(NamedTuple):
    """Size of an image in pixels."""

    width: int
    height: int


def image_size(data: Base64Data) -> ImageSize | None:
    """Return the size of an image; None for one that is empty, or that this module cannot read."""
    try:
        size = _size(data)
    except UnreadableDataError:
        return None
    return size if size is not None and size.width > 0 and size.height > 0 else None


def _size(data: Base64Data) -> ImageSize | None:
    magic = data.read(0, 12)
    if magic.startswith(b"\x89PNG\r\n\x1a\n"):
        header = data.read(12, 12)
        return ImageSize(_big(header[4:8]), _big(header[8:])) if header.startswith(b"IHDR") else None
    if magic.startswith(b"\xff\xd8"):
        return _jpeg_size(data)
    if magic.startswith((b"GIF87a", b"GIF89a")):
        return _gif_size(data)
    if magic.startswith(b"RIFF") and magic.endswith(b"WEBP"):
        return _webp_size(data)
    return None


def _jpeg_size(data: Base64Data) -> ImageSize | None:
    offset = 2
    for _ in range(_MAX_BLOCKS):
        start, marker = data.read(offset, 2)
        if start != 0xFF:
            return None
        if marker == 0xFF or marker in _BARE_MARKERS:
            # The first is a fill byte before a marker.
            offset += 1 if marker == 0xFF else 2
        elif marker in _FRAME_MARKERS:
            frame = data.read(offset + 5, 4)
            return ImageSize(_big(frame[2:]), _big(frame[:2]))
        else:
            offset += 2 + max(_big(data.read(offset + 2, 2)), 2)
    return None


def _gif_size(data: Base64Data) -> ImageSize | None:
    """Return the size of the screen or of the first picture, whichever is larger: programs differ in which one they use."""
    screen = data.read(6, 7)
    width, height, flags = _little(screen[:2]), _little(screen[2:4]), screen[4]
    offset = 13 + _gif_colours(flags)
    for _ in range(_MAX_BLOCKS):
        match data.read(offset, 1):
            case b"\x2c":
                left, top, own_width, own_height = (_little(data.read(offset + at, 2)) for at in (1, 3, 5, 7))
                return ImageSize(max(width, left + own_width), max(height, top + own_height))
            case b"\x21":
                offset = _after_sub_blocks(data, offset + 2)
            case _:
                return None
    return None


def _gif_colours(flags: int) -> int:
    """Return the bytes of a table of colours."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_sub_blocks(data: Base64Data, offset: int) -> int:
    for _ in range(_MAX_BLOCKS):
        size = data.read(offset, 1)[0]
        offset += size + 1
        if size == 0:
            return offset
    raise UnreadableDataError


def _webp_size(data: Base64Data) -> ImageSize | None:
    """Return the size in the first chunk (https://developers.google.com/speed/webp/docs/riff_container)."""
    chunk = data.read(12, 18)
    match chunk[:4]:
        case b"VP8X":
            return ImageSize(_little(chunk[12:15]) + 1, _little(chunk[15:18]) + 1)
        case b"VP8L":
            bits = _little(chunk[9:13])
            return ImageSize((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
        case b"VP8 ":
            return ImageSize(_little(chunk[14:16]) & 0x3FFF, _little(chunk[16:18]) & 0x3FFF)
        case _:
            return None


def _big(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")
