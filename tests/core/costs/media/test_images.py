"""Tokens of images as in OpenAI's examples (https://developers.openai.com/api/docs/guides/images-vision)."""

from base64 import b64encode
from typing import Any

import pytest

from completions_mw.core.costs.media import media_tokens, rules_of
from completions_mw.core.costs.media.image_sizes import ImageSize
from completions_mw.core.costs.media.images import Patches, Reduction
from completions_mw.core.costs.media.rules import MAX_READS
from tests.core.costs.media.test_image_sizes import png

COUNTS: list[tuple[str, tuple[int, int] | None, str, int]] = [
    ("gpt-4o", (1024, 1024), "high", 765),
    ("gpt-4o", (2048, 4096), "high", 1105),
    ("gpt-4o", (4096, 8192), "low", 85),
    ("gpt-4o", (1024, 1024), "auto", 765),
    ("gpt-4o", (512, 512), "high", 255),
    ("gpt-4o", (513, 10), "high", 85 + 2 * 170),
    ("gpt-4o", (1, 100_000), "high", 85 + 4 * 170),
    ("gpt-4o", (2049, 769), "high", 85 + 8 * 170),
    ("gpt-4o", None, "high", 85 + 8 * 170),
    ("gpt-4o", None, "low", 85),
    ("gpt-4o-2024-11-20", (1024, 1024), "high", 765),
    ("gpt-4.1", (1024, 1024), "high", 765),
    ("gpt-4.5-preview", (1024, 1024), "high", 765),
    ("gpt-4o-mini-2024-07-18", (1024, 1024), "high", 2833 + 4 * 5667),
    ("openai/gpt-4o-mini", None, "auto", 48_169),
    ("ft:gpt-4o-mini:team::id", None, "auto", 48_169),
    ("o1", (1024, 1024), "high", 75 + 4 * 150),
    ("o3-pro", (1024, 1024), "high", 75 + 4 * 150),
    ("gpt-5", (1024, 1024), "high", 70 + 4 * 140),
    ("gpt-5-chat-latest", (1024, 1024), "low", 70),
    ("gpt-5.1", (1024, 1024), "high", 70 + 4 * 140),
    ("gpt-5.4", (1024, 1024), "high", 1229),
    ("gpt-5.4", (2048, 2048), "high", 3000),
    ("gpt-5.4", (2048, 2048), "auto", 3000),
    ("gpt-5.4", None, "high", 3000),
    ("gpt-5.4-mini", (9000, 9000), "low", 4916),
    ("gpt-5.4", None, "original", 12_000),
    ("gpt-5.5", (512, 512), "auto", 308),
    ("gpt-5.5", None, "auto", 12_000),
    ("gpt-5.5", None, "low", 308),
    ("gpt-5.6-sol", (6400, 3200), "original", 24_000),
    ("gpt-5.6-sol", (6400, 3200), "high", 2458),
    ("gpt-5-mini", (1024, 1024), "high", 1229),
    ("gpt-5-mini", None, "high", 4916),
    ("gpt-5-nano", (256, 256), "low", 96),
    ("gpt-4.1-mini", (1024, 1024), "auto", 1659),
    ("gpt-4.1-nano-2025-04-14", (1024, 1024), "auto", 2520),
    ("o4-mini", (1024, 1024), "auto", 1762),
    ("somebody/gpt-9", (1, 1), "low", 48_169),
    ("qwen-vl", None, "auto", 48_169),
    ("gpt-4o", (1024, 1024), "sharp", 765),
    ("gpt-5.4", (5000, 5000), "sharp", 12_000),
]


@pytest.mark.parametrize(("model", "size", "detail", "tokens"), COUNTS, ids=str)
def test_tokens(model: str, size: tuple[int, int] | None, detail: str, tokens: int) -> None:
    assert rules_of(model).image.tokens(size and ImageSize(*size), detail) == tokens


def test_an_image_is_reduced_to_the_budget_of_patches() -> None:
    assert Patches(1, {"high": Reduction(10_000, 1536)}).tokens(ImageSize(1800, 2400), "high") == 1452


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4.1-mini", "gpt-5.4", "gpt-5.5", "o3"])
def test_no_image_has_more_tokens_than_one_of_unknown_size(model: str) -> None:
    rule = rules_of(model).image
    lengths = (1, 31, 33, 511, 512, 513, 768, 769, 2048, 2049, 6000, 6001, 30_000, 10**6)
    for detail in ("low", "high", "original", "auto"):
        most = rule.tokens(None, detail)
        assert all(0 < rule.tokens(ImageSize(width, height), detail) <= most for width in lengths for height in lengths)


def image(url: str, **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **more}}


DATA = "data:image/png;base64," + b64encode(png(512, 512)).decode()
PARTS: dict[str, tuple[dict[str, Any], tuple[int, int]]] = {
    "known size": (image(DATA), (255, 255)),
    "low": (image(DATA, detail="low"), (85, 85)),
    "null": (image(DATA, detail=None), (255, 255)),
    "url": (image("https://example.org/a.png"), (1445, 1445)),
    "not readable": (image("data:image/png;base64,AAAA", detail="low"), (85, 85)),
    "file": ({"type": "file", "file": {"file_id": "file-1"}}, (2048, 128_000)),
    "unknown": ({"type": "video_url", "video_url": {"url": "https://example.org"}}, (2048, 128_000)),
    "odd": ({"type": "image_url", "image_url": "https://example.org"}, (2048, 128_000)),
}


@pytest.mark.parametrize(("part", "expected"), PARTS.values(), ids=PARTS)
def test_parts(part: dict[str, Any], expected: tuple[int, int]) -> None:
    assert media_tokens([part], [rules_of("gpt-4o")]) == expected


def test_what_the_settings_say_counts_instead() -> None:
    rules = rules_of("gpt-4o", image_tokens=7, second_tokens=3, file_tokens=5)
    audio = {"type": "input_audio", "input_audio": {"data": "A" * 8000, "format": "mp3"}}
    assert [media_tokens([part], [rules]).bound for part in (image(DATA), audio, PARTS["file"][0])] == [7, 3 * 6, 5]


def test_images_are_measured_in_a_bounded_number_of_reads() -> None:
    """What is left over counts as the largest image: blocks of a few bytes would hold a server up for seconds."""
    small = (
        "data:image/gif;base64," + b64encode(b"GIF89a" + bytes([1, 0, 1, 0, 0, 0, 0]) + b"\x21\xff\x00" * 900 + b"\x2c" + bytes(9)).decode()
    )
    rules = rules_of("gpt-4o")._replace(context=10**9)
    assert media_tokens([image(small)], [rules]) == media_tokens([image(DATA)], [rules])
    fit = MAX_READS // 2000
    known, all_of_them = (media_tokens([image(small)] * count, [rules]).bound for count in (fit, fit + 1000))
    assert known == 255 * fit
    assert all_of_them >= 1445 * 990
