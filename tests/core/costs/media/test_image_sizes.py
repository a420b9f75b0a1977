"""The size of an image is read from its head, as programs that show it would read it."""

import random
import struct
from base64 import b64encode

import pytest

from completions_mw.core.costs.media.base64_data import Base64Data
from completions_mw.core.costs.media.image_sizes import image_size


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + b"\x08\x02\0\0\0"


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def frame(width: int, height: int, marker: int = 0xC0) -> bytes:
    return segment(marker, struct.pack(">BHHB", 8, height, width, 3) + b"\1\x22\0" * 3)


def gif(width: int, height: int, own: tuple[int, int] = (1, 1), before: bytes = b"", flags: int = 0) -> bytes:
    colours = bytes(3 << (flags & 7) + 1 if flags & 0x80 else 0)
    return b"GIF89a" + struct.pack("<HHBBB", width, height, flags, 0, 0) + colours + before + struct.pack("<BHHHHB", 0x2C, 0, 0, *own, 0)


def webp(chunk: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", len(chunk) + 4) + b"WEBP" + chunk.ljust(20, b"\0")


THUMBNAIL = segment(0xE1, b"Exif\0\0" + b"\xff\xd8" + frame(160, 120))
COMMENT = b"\x21\xfe\x03abc\x02de\x00"
FILES: dict[str, tuple[bytes, tuple[int, int] | None]] = {
    "png": (png(640, 480), (640, 480)),
    "png without a header": (b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIDAT" + bytes(12), None),
    "jpeg": (b"\xff\xd8" + frame(640, 480), (640, 480)),
    "progressive jpeg": (b"\xff\xd8" + frame(640, 480, 0xC2), (640, 480)),
    "jpeg of a camera": (b"\xff\xd8" + THUMBNAIL + segment(0xE2, bytes(65_000)) * 9 + frame(4000, 3000), (4000, 3000)),
    "jpeg with tables first": (b"\xff\xd8" + segment(0xC4, bytes(40)) + segment(0xDB, bytes(65)) + frame(7, 5), (7, 5)),
    "jpeg with fill bytes": (b"\xff\xd8\xff\xff\xff\xff" + frame(7, 5)[1:], (7, 5)),
    "jpeg without end": (b"\xff\xd8" + segment(0xFE, b"") * 2000, None),
    "jpeg cut off": ((b"\xff\xd8" + THUMBNAIL + frame(7, 5))[:-16], None),
    "jpeg that is none": (b"\xff\xd8" + bytes(100), None),
    "gif": (gif(640, 480), (640, 480)),
    "gif with colours": (gif(640, 480, flags=0xF7), (640, 480)),
    "gif whose picture is larger": (gif(1, 1, (3000, 2000)), (3000, 2000)),
    "gif with a comment": (gif(1, 1, (3000, 2000), COMMENT), (3000, 2000)),
    "gif without end": (gif(1, 1, before=b"\x21\xfe" + b"\x01a" * 5000), None),
    "webp": (webp(b"VP8 " + bytes(7) + b"\x9d\x01\x2a" + struct.pack("<HH", 640 | 1 << 14, 480)), (640, 480)),
    "webp without loss": (webp(b"VP8L\0\0\0\0\x2f" + struct.pack("<I", 639 | 479 << 14)), (640, 480)),
    "webp with more": (webp(b"VP8X" + bytes(8) + (9_999).to_bytes(3, "little") + (4).to_bytes(3, "little")), (10_000, 5)),
    "webp of the future": (webp(b"VP9X"), None),
    "nothing": (b"", None),
    "svg": (b"<svg width='5' height='5'>", None),
    "no pixels": (png(0, 5), None),
}


@pytest.mark.parametrize(("file", "size"), FILES.values(), ids=FILES)
def test_sizes(file: bytes, size: tuple[int, int] | None) -> None:
    data = Base64Data.of_url("data:image/png;base64," + b64encode(file).decode())
    assert data is not None
    assert image_size(data) == size


PILLOW = {
    "PNG": "iVBORw0KGgoAAAANSUhEUgAAAUEAAAB7CAIAAABl+qUZ",
    "JPEG": f"/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAP{'/' * 86}2wBDAf{'/' * 86}wgARCAB7AUEDASIAAhEBAxEB",
    "GIF": "R0lGODdhQQF7AIEAAAAAAAAAAAAAAAAAACwAAAAAQQF7AEAI",
    "WebP": "UklGRoIAAABXRUJQVlA4IHYAAAAwDACdASpBAXsAP83m8XO/",
    "WebP without loss": "UklGRiYAAABXRUJQVlA4TBkAAAAvQIEeAAcQEf0PKEjbgKl/",
    "WebP with Exif": "UklGRqoAAABXRUJQVlA4WAoAAAAIAAAAQAEAegAAVlA4IHYA",
}
"""Heads of images of 321 by 123 pixels as Pillow 12 writes them."""


@pytest.mark.parametrize("head", PILLOW.values(), ids=PILLOW)
def test_files_of_a_program(head: str) -> None:
    assert image_size(Base64Data(head)) == (321, 123)


URLS = {
    "https": "https://example.org/a.png",
    "no base64": "data:image/png,abc",
    "no comma": "data:image/png;base64",
    "a long type": "data:image/png;" + "a" * 300 + ";base64," + b64encode(png(1, 1)).decode(),
    "empty": "",
}


@pytest.mark.parametrize("url", URLS.values(), ids=URLS)
def test_urls_without_data(url: str) -> None:
    assert Base64Data.of_url(url) is None


@pytest.mark.parametrize("url", ["DATA:image/png;BASE64,", "data:;base64,", "data:image/png;charset=x;base64,"])
def test_urls_with_data(url: str) -> None:
    data = Base64Data.of_url(url + b64encode(png(3, 4)).decode())
    assert data is not None
    assert image_size(data) == (3, 4)


@pytest.mark.parametrize(("at", "added"), [(0, "\n"), (9, " "), (9, "é"), (9, "-")])
def test_what_other_decoders_may_read_otherwise_has_no_known_size(at: int, added: str) -> None:
    text = b64encode(png(3, 4)).decode()
    assert image_size(Base64Data(text[:at] + added + text[at:])) is None


def test_any_part_can_be_read() -> None:
    whole = random.Random(1).randbytes(100)
    data = Base64Data(" " + b64encode(whole).decode(), 1)
    assert all(data.read(at, count) == whole[at : at + count] for at in range(90) for count in range(1, 10))


def test_no_garbage_fails() -> None:
    rng = random.Random(2)
    heads = [file[:12] for file, _ in FILES.values()]
    for _ in range(3000):
        image_size(Base64Data(b64encode(rng.choice(heads) + rng.randbytes(rng.randrange(60))).decode()))
