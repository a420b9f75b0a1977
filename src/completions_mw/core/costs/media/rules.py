"""What the images, audio and files of a prompt cost at one model."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Self

from completions_mw.core.costs.media.audio import seconds_of
from completions_mw.core.costs.media.base64_data import Base64Data, Reads
from completions_mw.core.costs.media.image_sizes import ImageSize, image_size
from completions_mw.core.costs.media.images import ImageRule

MAX_READS: Final = 10_000
"""Reads in which all images and audio of a prompt are measured: a few milliseconds. An image of a camera needs a few dozen."""
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

    def of(self, part: "Measured") -> MediaTokens:
        """Return the tokens of a part of a prompt."""
        if part.detail is not None:
            bound = self.image.tokens(part.size, part.detail)
            return MediaTokens(bound if part.size else min(bound, LIKELY_TOKENS), bound)
        bound = self.file if part.seconds is None else self.second * part.seconds
        return MediaTokens(min(bound, LIKELY_TOKENS), bound)


class Measured(NamedTuple):
    """A part of a prompt that is neither text nor a refusal, with what its data say of its size."""

    detail: str | None = None
    """How much of an image the model is to see; None where the part is no image."""
    size: ImageSize | None = None
    """Size of an image; None if it is not known."""
    seconds: int | None = None
    """Seconds of audio at most; None where the part is no audio."""

    @classmethod
    def of(cls, part: Mapping[str, Any], reads: Reads) -> Self:
        """Return a part of a message, measured in so many reads; of what is left over the size is not known."""
        match part:
            case {"type": "image_url", "image_url": {"url": str(url)} as image}:
                data = Base64Data.of_url(url, reads)
                return cls(image.get("detail") or "auto", None if data is None else image_size(data))
            case {"type": "input_audio", "input_audio": {"data": str(text)}}:
                return cls(seconds=seconds_of(Base64Data(text, reads=reads)))
            case _:
                return cls()


def media_hint(tokens: int) -> str:
    """Return what a refusal for its cost says of images, audio and files that count as so many tokens; nothing if there are none."""
    text = f"(HINT: Images, audio and files count as {tokens} tokens of it. The model's settings `image_tokens`, `audio_tokens` and"
    return f" {text} `file_tokens` can say less.)" if tokens else ""


def media_tokens(parts: Sequence[Mapping[str, Any]], rules: Iterable[MediaRules]) -> MediaTokens:
    """Return the tokens of all images, audio and files of a prompt, by the dearest of the rules that may apply."""
    likely, bound, reads = 0, 0, Reads(MAX_READS)
    measured = [Measured.of(part, reads) for part in parts]
    for rule in rules:
        found = [rule.of(part) for part in measured]
        likely = max(likely, sum(tokens.likely for tokens in found))
        bound = max(bound, min(sum(tokens.bound for tokens in found), rule.context))
    return MediaTokens(likely, bound)
