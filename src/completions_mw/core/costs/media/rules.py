"""What the images, audio and files of a prompt cost at one model."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from completions_mw.core.costs.media.base64_data import Base64Data
from completions_mw.core.costs.media.image_sizes import image_size
from completions_mw.core.costs.media.images import ImageRule
from completions_mw.core.costs.media.sounds import seconds_of

LIKELY_TOKENS: Final = 2048
"""Likely tokens of an image, audio or a file whose size is not known."""


class MediaTokens(NamedTuple):
    """Tokens of one part of a prompt, or of all of them."""

    likely: int
    """Likely number, for rate limits."""
    bound: int
    """Upper bound, for money."""


class MediaRules(NamedTuple):
    """Rules of one model."""

    image: ImageRule
    second: int
    """Tokens of a second of audio."""
    file: int
    """Tokens of a file at most. Only the provider can count them: a PDF is compressed text, and a picture of each page."""
    context: int
    """Tokens that a prompt may have: the provider refuses a longer one, and bills nothing."""

    def of(self, part: Mapping[str, Any]) -> MediaTokens:
        """Return the tokens of a part of a message that is neither text nor a refusal."""
        match part:
            case {"type": "image_url", "image_url": {"url": str(url)} as image}:
                data = Base64Data.of_url(url)
                size = None if data is None else image_size(data)
                bound = self.image.tokens(size, image.get("detail") or "auto")
                return MediaTokens(bound if size else min(bound, LIKELY_TOKENS), bound)
            case {"type": "input_audio", "input_audio": {"data": str(text)}}:
                bound = self.second * seconds_of(Base64Data(text))
            case _:
                bound = self.file
        return MediaTokens(min(bound, LIKELY_TOKENS), bound)


def media_hint(tokens: int) -> str:
    """Return what a refusal for its cost says of images, audio and files that count as so many tokens; nothing if there are none."""
    text = f"(HINT: Images, audio and files count as {tokens} tokens of it. The model's settings `image_tokens`, `audio_tokens` and"
    return f" {text} `file_tokens` can say less.)" if tokens else ""


def media_tokens(parts: Sequence[Mapping[str, Any]], rules: Iterable[MediaRules]) -> MediaTokens:
    """Return the tokens of all images, audio and files of a prompt, by the dearest of the rules that may apply."""
    likely, bound = 0, 0
    for rule in rules:
        found = [rule.of(part) for part in parts]
        likely = max(likely, sum(tokens.likely for tokens in found))
        bound = max(bound, min(sum(tokens.bound for tokens in found), rule.context))
    return MediaTokens(likely, bound)
