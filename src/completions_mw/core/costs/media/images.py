"""Tokens of an image by its size and detail, as OpenAI publishes them (https://developers.openai.com/api/docs/guides/images-vision)."""

from collections.abc import Mapping
from math import floor, sqrt
from typing import Final, NamedTuple, Protocol

from completions_mw.core.costs.media.image_sizes import ImageSize

_PATCH: Final = 32
"""Pixels of the side of a patch."""
_TILE: Final = 512
"""Pixels of the side of a tile."""
_LONGEST_SIDE: Final = 2048
"""Pixels of the longer side that a tiled image is reduced to."""
_SHORTEST_SIDE: Final = 768
"""Pixels of the shorter side that a tiled image is then reduced to."""
_MAX_TILES: Final = 8
"""Tiles of an image of 2048 by 768 pixels, or more."""


class ImageRule(Protocol):
    """Counts the tokens of an image."""

    def tokens(self, size: ImageSize | None, detail: str) -> int:
        """Return the tokens of an image.

        Args:
            size: size of the image; None if it is not known, for the most that any image has.
            detail: `low`, `high`, `original` or `auto`, as the request says it.
        """
        ...


class FixedTokens(NamedTuple):
    """The same number of tokens for each image."""

    each: int

    def tokens(self, size: ImageSize | None, detail: str) -> int:
        return self.each


class Tiles(NamedTuple):
    """Tokens for each image, and for each square of 512 pixels of the image reduced to 2048 by 768."""

    base: int
    tile: int

    def tokens(self, size: ImageSize | None, detail: str) -> int:
        if detail == "low":
            return self.base
        return self.base + self.tile * (_MAX_TILES if size is None else _tiles(size))


class Reduction(NamedTuple):
    """How large an image may be before it is reduced."""

    side: int
    """Pixels of the longer side."""
    patches: int | None = None
    """Patches; None for any number."""

    def patches_of(self, size: ImageSize | None) -> int:
        """Return the patches of a reduced image; None for the most that any image has."""
        if size is None:
            whole = (-(-self.side // _PATCH)) ** 2
            return whole if self.patches is None else min(whole, self.patches)
        width, height = size
        if max(size) > self.side:
            # At least one pixel: half a pixel is a patch too.
            width, height = (max(round(length * self.side / max(size)), 1) for length in size)
        count = _patches(width, height)
        return count if self.patches is None or count <= self.patches else _reduced(width, height, self.patches)


class Patches(NamedTuple):
    """Tokens for each square of 32 pixels of the image, which is reduced depending on the detail."""

    multiplier: float
    """Tokens of a patch."""
    by_detail: Mapping[str, Reduction]
    """Reduction at each detail; a detail that is missing is not supported, and counted as the dearest one."""

    def tokens(self, size: ImageSize | None, detail: str) -> int:
        reduction = self.by_detail.get(detail)
        reductions = self.by_detail.values() if reduction is None else (reduction,)
        hundredths = max(one.patches_of(size) for one in reductions) * round(self.multiplier * 100)
        return -(-hundredths // 100)


def _tiles(size: ImageSize) -> int:
    longer, shorter = max(size), min(size)
    reduced = min(longer, _LONGEST_SIDE)
    if shorter * reduced > _SHORTEST_SIDE * longer:
        across, along = _SHORTEST_SIDE, longer * _SHORTEST_SIDE // shorter
    else:
        across, along = -(-shorter * reduced // longer), reduced
    return -(-across // _TILE) * -(-along // _TILE)


def _patches(width: int, height: int) -> int:
    return -(-width // _PATCH) * -(-height // _PATCH)


def _reduced(width: int, height: int, budget: int) -> int:
    """Return the patches of an image that is reduced until it has no more than `budget`."""
    factor = sqrt(_PATCH**2 * budget / (width * height))
    factor *= min(floor(length * factor / _PATCH) / (length * factor / _PATCH) for length in (width, height))
    # A side of less than one patch would be reduced to nothing.
    count = _patches(int(width * factor), int(height * factor))
    return min(count, budget) if count else budget
