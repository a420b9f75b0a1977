"""Audio is no longer than its file allows, whatever its header says."""

import io
import struct
import wave
from base64 import b64encode

import pytest

from completions_mw.core.costs.media import media_tokens, rules_of
from completions_mw.core.costs.media.audio import seconds_of
from completions_mw.core.costs.media.base64_data import Base64Data


def wav(seconds: int, rate: int = 16_000, channels: int = 1, width: int = 2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((channels, width, rate, 0, "NONE", "not compressed"))
        out.writeframes(bytes(seconds * rate * channels * width))
    return file.getvalue()


def header(code: int = 1, channels: int = 1, rate: int = 8000, stated: int = 8000, frame: int = 1, bits: int = 8) -> bytes:
    return b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<IHHIIHH", 16, code, channels, rate, stated, frame, bits)


FILES: dict[str, tuple[bytes, int]] = {
    "wav": (wav(60), 61),
    "wav of a studio": (wav(2, 48_000, 2, 3), 3),
    "wav with a list first": (b"RIFF\0\0\0\0WAVELIST\3\0\0\0abc\0" + wav(5)[12:], 6),
    "slow": (header(rate=1, stated=1) + bytes(1000), 1038),
    "a header that says more than it is": (header(stated=10**6) + bytes(80_000), 11),
    "a header of zeros": (header(rate=0, stated=0) + bytes(1000), 1038),
    "compressed": (header(code=0x11, stated=10**6) + bytes(10_000), 11),
    "cut off": (header()[:20], 1),
    "mp3": (b"ID3" + bytes(63_000), 64),
    "nothing": (b"", 0),
}


@pytest.mark.parametrize(("file", "seconds"), FILES.values(), ids=FILES)
def test_seconds(file: bytes, seconds: int) -> None:
    assert seconds_of(Base64Data(b64encode(file).decode())) == seconds


def test_a_second_has_ten_tokens_at_openai() -> None:
    part = {"type": "input_audio", "input_audio": {"data": b64encode(wav(60)).decode(), "format": "wav"}}
    assert media_tokens([part], [rules_of("gpt-4o-audio-preview")]) == (610, 610)
    assert media_tokens([part], [rules_of("voxtral-mini")]) == (2048, 3050)
