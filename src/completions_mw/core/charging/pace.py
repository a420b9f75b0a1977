"""How fast each target writes, learned from its complete answers."""

from typing import Final

DEFAULT_TOKENS_PER_SECOND: Final = 100.0
"""Tokens a second that a target is assumed to write before it has completed any answer."""
ASSUMED_TOKENS: Final = 100
"""Tokens that `DEFAULT_TOKENS_PER_SECOND` counts for beside those of complete answers, so that one short answer proves little."""
REMEMBERED_TOKENS: Final = 10_000
"""Tokens of earlier answers that count at most, so that a change of pace shows after a few answers."""
_ASSUMED: Final = (DEFAULT_TOKENS_PER_SECOND, float(ASSUMED_TOKENS))


class Pace:
    """Tokens a second that each target writes, from the request to the end of the answer, with the tokens that no client sees.

    The rate of an answer counts as often as the answer has tokens: in a short one most of the time passes before the first token.
    """

    def __init__(self) -> None:
        # One tuple for each target, replaced as a whole: threads may lose an answer to each other, and never mix two.
        self._known: dict[str, tuple[float, float]] = {}

    def of(self, target: str) -> float:
        """Return the tokens a second of a target, `provider/model`."""
        return self._known.get(target, _ASSUMED)[0]

    def learn(self, target: str, tokens: int, seconds: float) -> None:
        """Take in that a target has completed an answer of so many tokens in so many seconds."""
        if tokens <= 0 or seconds <= 0:
            return
        rate, weight = self._known.get(target, _ASSUMED)
        if weight > REMEMBERED_TOKENS:
            weight = REMEMBERED_TOKENS
        self._known[target] = (rate * weight + tokens / seconds * tokens) / (weight + tokens), weight + tokens
