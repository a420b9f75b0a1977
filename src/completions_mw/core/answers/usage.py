"""Token counts of an answer, in whatever place and words they come, and what is counted until they come (docs/promises.md, Money)."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from completions_mw.core.costs.tokens import MAX_TOKENS, at_least, counts_answer, is_usage
from completions_mw.errors import GatewayError

_PROMPT_NAMES: Final = (
    "prompt_tokens",
    "input_tokens",
    "inputTokens",
    "promptTokens",
    "promptTokenCount",
    "prompt_token_count",
    "prompt_eval_count",
)
_COMPLETION_NAMES: Final = (
    "completion_tokens",
    "output_tokens",
    "outputTokens",
    "completionTokens",
    "candidatesTokenCount",
    "candidates_token_count",
    "eval_count",
)
_TOTAL_NAMES: Final = ("total_tokens", "totalTokens", "totalTokenCount", "total_token_count")
_MAX_DIGITS: Final = 13
_USAGE_NAMES: Final = ("usage", "usageMetadata", "usage_metadata")


def read_usage(usage: object) -> dict[str, Any] | None:
    """Return a `usage` object with OpenAI's three counts, and all other members as they are; None if it has no plausible counts.

    A count that is missing is worked out from the other two. `usage` itself is returned if it is right.
    """
    if not isinstance(usage, dict):
        return None
    if is_usage(usage) and usage["total_tokens"] >= usage["prompt_tokens"] + usage["completion_tokens"]:
        return usage
    prompt, completion, total = (_count(usage, names) for names in (_PROMPT_NAMES, _COMPLETION_NAMES, _TOTAL_NAMES))
    if prompt is None and completion is not None and total is not None:
        prompt = total - completion
    elif completion is None and prompt is not None and total is not None:
        completion = total - prompt
    if prompt is None or completion is None:
        return None
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": max(prompt + completion, total or 0)}
    return {**usage, **counts} if is_usage(counts) else None


def find_usage(data: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the usage of a chunk or of a whole answer: its own, that of a choice, or that in a member of the vendor's own."""
    if (usage := read_usage(data.get("usage"))) is not None:
        return usage
    for found in _places(data):
        if (usage := read_usage(found)) is not None:
            return usage
    return None


def usage_of_error(error: BaseException) -> dict[str, Any] | None:
    """Return the usage that an upstream reported beside an error; None if it reported none."""
    return read_usage(error.usage) if isinstance(error, GatewayError) else None


def _places(data: Mapping[str, Any]) -> Iterator[object]:
    for name in _USAGE_NAMES:
        yield data.get(name)
    choices = data.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            yield choice.get("usage")
    for name, member in data.items():
        if isinstance(member, dict) and name not in _USAGE_NAMES:
            yield member.get("usage")


def _count(usage: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    for name in names:
        count = usage.get(name)
        if isinstance(count, str) and len(count) <= _MAX_DIGITS and count.isascii() and count.isdigit():
            count = int(count)
        if isinstance(count, int | float) and not isinstance(count, bool) and 0 <= count < MAX_TOKENS and count == int(count):
            return int(count)
    return None


class UsageMeter:
    """The usage of an answer: what its target reported, else an estimate of what it has written.

    Args:
        estimate: returns an estimated `usage` object for an answer of so many characters.
    """

    __slots__ = ("_covered", "_estimate", "characters", "reported")

    def __init__(self, estimate: Callable[[int], dict[str, Any]]) -> None:
        self._estimate = estimate
        self.characters = 0
        """Size of the answer so far."""
        self._covered = 0
        """Part of `characters` that the reported usage counts."""
        self.reported: dict[str, Any] | None = None
        """The last usage that the target reported, in OpenAI's words."""

    def report(self, usage: dict[str, Any]) -> None:
        """Keep a usage that the target reports for all that it has written so far."""
        self.reported = usage
        self._covered = self.characters if counts_answer(usage) else 0

    @property
    def is_estimated(self) -> bool:
        """Whether `final` is an estimate, because the target has reported no usage since its last text."""
        return self.reported is None or self.characters > self._covered

    def final(self) -> dict[str, Any]:
        """Return the usage that the target reported; if it reported none since its last text, an estimate that is no less."""
        if self.reported is not None and self.characters <= self._covered:
            return self.reported
        estimate = self._estimate(self.characters)
        return estimate if self.reported is None else at_least(self.reported, estimate)
