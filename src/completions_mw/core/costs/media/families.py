"""Rules of OpenAI's model families, and of all other models.

Sources, as of 2026-11: https://developers.openai.com/api/docs/guides/images-vision for images,
https://developers.openai.com/api/docs/guides/realtime-costs for audio, https://developers.openai.com/api/docs/models for context windows.
A family whose limits are no longer published has the highest limits of its kind.
"""

from functools import cache
from typing import Final

from completions_mw.core.costs.media.images import FixedTokens, ImageRule, Patches, Reduction, Tiles
from completions_mw.core.costs.media.rules import MediaRules

SOUND_SECOND: Final = 10
"""Tokens of a second of audio at OpenAI: one for each 100 milliseconds."""
OTHER_SOUND_SECOND: Final = 50
"""Tokens of a second of audio at other models: the frames of Whisper's encoder, of which most models keep a part."""
_SMALL, _LARGE = 200_000, 1_050_000

_LOW: Final = Reduction(512, 2500)
_HIGH: Final = Reduction(2048, 2500)
_ORIGINAL: Final = Reduction(6000, 10_000)
_UNREDUCED: Final = Reduction(65_535)
_SAME: Final = dict.fromkeys(("low", "high", "auto"), Reduction(2048, 6144))

_IMAGES: Final[dict[str, tuple[ImageRule, int]]] = {
    "gpt-5.6": (Patches(1.2, {"low": _LOW, "high": _HIGH, "original": _UNREDUCED, "auto": _UNREDUCED}), _LARGE),
    "gpt-5.5": (Patches(1.2, {"low": _LOW, "high": _HIGH, "original": _ORIGINAL, "auto": _ORIGINAL}), _LARGE),
    "gpt-5.4": (Patches(1.2, {"low": Reduction(2048, 6144), "high": _HIGH, "original": _ORIGINAL, "auto": _HIGH}), _LARGE),
    "gpt-5.3": (Patches(1.2, _SAME), 400_000),
    "gpt-5.2": (Patches(1.2, _SAME), 400_000),
    "gpt-5.1": (Tiles(70, 140), 400_000),
    "gpt-5.1-codex-mini": (Patches(1.62, _SAME), 400_000),
    "gpt-5": (Tiles(70, 140), 400_000),
    "gpt-5-mini": (Patches(1.2, _SAME), 400_000),
    "gpt-5-nano": (Patches(1.5, _SAME), 400_000),
    "gpt-5-codex-mini": (Patches(1.62, _SAME), 400_000),
    "gpt-4.5": (Tiles(85, 170), 128_000),
    "gpt-4.1": (Tiles(85, 170), _LARGE),
    "gpt-4.1-mini": (Patches(1.62, _SAME), _LARGE),
    "gpt-4.1-nano": (Patches(2.46, _SAME), _LARGE),
    "gpt-4o": (Tiles(85, 170), 128_000),
    "chatgpt-4o": (Tiles(85, 170), 128_000),
    "gpt-4o-mini": (Tiles(2833, 5667), 128_000),
    "gpt-4-turbo": (Tiles(85, 170), 128_000),
    "computer-use-preview": (Tiles(65, 129), _SMALL),
    "codex-mini": (Patches(1.72, _SAME), _SMALL),
    "o4-mini": (Patches(1.72, _SAME), _SMALL),
    "o3": (Tiles(75, 150), _SMALL),
    "o1": (Tiles(75, 150), _SMALL),
}
"""Rule for images and context window of each family."""
_OTHER_IMAGE: Final = FixedTokens(Tiles(2833, 5667).tokens(None, "high"))
"""An image at any other model, which may be one of OpenAI's under another name: the most of the families that reduce all images."""
_OTHER_CONTEXT: Final = _LARGE


@cache
def rules_of(model: str, image_tokens: int | None = None, second_tokens: int | None = None, file_tokens: int | None = None) -> MediaRules:
    """Return the rules of a model.

    Args:
        model: name of the model at its provider, as `gpt-4o-2024-11-20`, `openai/gpt-4o` or `ft:gpt-4o-2024-08-06:team`.
        image_tokens: tokens of each image; None for those of the model's family.
        second_tokens: tokens of each second of audio; None for those of the model's family.
        file_tokens: tokens of each file; None for the model's whole context window.
    """
    family = _family(model)
    image, context = _IMAGES[family] if family else (_OTHER_IMAGE, _OTHER_CONTEXT)
    second = SOUND_SECOND if family else OTHER_SOUND_SECOND
    return MediaRules(
        image=image if image_tokens is None else FixedTokens(image_tokens),
        second=second if second_tokens is None else second_tokens,
        file=context if file_tokens is None else file_tokens,
        context=context,
    )


def _family(model: str) -> str | None:
    """Return the longest name of a family with which a model's name begins, up to a hyphen or a colon."""
    name = model.lower().rpartition("/")[2].removeprefix("ft:").partition(":")[0]
    while name and name not in _IMAGES:
        name = name.rpartition("-")[0]
    return name or None
