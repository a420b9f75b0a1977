"""Seconds of audio at most, from its file."""

from typing import Final

from completions_mw.core.costs.media.base64_data import Base64Data, UnreadableDataError

_SLOWEST: Final = 1000
"""Bytes of a second of compressed audio at least: of MP3 at its lowest bit rate, 8 kbit/s (ISO/IEC 13818-3)."""
_PLAIN_FORMATS: Final = (1, 3, 0xFFFE)
"""Codes of WAV formats that are not compressed: integers, floats, and either of them with more fields."""
_RATE_FIELDS: Final = ((2, 4), (4, 8), (8, 12), (12, 14), (14, 16))
"""Places of the channels, frames a second, bytes a second, bytes of a frame and bits of a sample in a WAV file's format."""
_MAX_CHUNKS: Final = 100
"""Chunks of a WAV file before its format that are passed over."""


def seconds_of(data: Base64Data) -> int:
    """Return the seconds that a WAV or MP3 file has at most, whatever it is called."""
    try:
        magic = data.read(0, 12)
        is_wav = magic.startswith(b"RIFF") and magic.endswith(b"WAVE")
        rate = _wav_bytes_per_second(data) if is_wav else _SLOWEST
    except UnreadableDataError:
        rate = _SLOWEST
    return -(-len(data) // rate)


def _wav_bytes_per_second(data: Base64Data) -> int:
    """Return the lowest rate that the header of a WAV file allows."""
    offset = 12
    for _ in range(_MAX_CHUNKS):
        chunk = data.read(offset, 8)
        size = _little(chunk[4:])
        if chunk.startswith(b"fmt "):
            fields = data.read(offset + 8, 16)
            if _little(fields[:2]) not in _PLAIN_FORMATS:
                break
            channels, rate, stated, frame, bits = (_little(fields[slice(*at)]) for at in _RATE_FIELDS)
            return max(min(stated, rate * frame, rate * channels * bits // 8), 1)
        offset += 8 + size + size % 2
    return _SLOWEST


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")
