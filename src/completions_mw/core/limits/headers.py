"""The `x-ratelimit-` headers (docs/contract.md, Headers).

They hold only numbers and durations, so that no text chosen by a caller can get into one.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from completions_mw.core.limits.durations import go_duration
from completions_mw.core.ports import Admission
from completions_mw.http import Headers

Family = Literal["requests", "tokens", "project-tokens"]
"""Suffix of the headers that show a limit; a tenant's limits on tokens have `project-tokens`."""


class _Limit(NamedTuple):
    at: int
    """Position among the windows of an admission."""
    amount: int
    header: tuple[str, str]
    """The header that shows the amount."""
    remaining: str
    """Name of the header that shows what is left."""
    reset: str
    """Name of the header that shows when the window ends."""


class LimitHeaders:
    """The headers of a set of limits: all that does not depend on the request is made once.

    Args:
        limits: family and amount of each limit, in the order of the windows of an admission.
    """

    def __init__(self, limits: Iterable[tuple[Family, int]]) -> None:
        families: dict[Family, list[_Limit]] = {}
        for at, (family, amount) in enumerate(limits):
            header = (f"x-ratelimit-limit-{family}", str(amount))
            limit = _Limit(at, amount, header, f"x-ratelimit-remaining-{family}", f"x-ratelimit-reset-{family}")
            families.setdefault(family, []).append(limit)
        self._families = list(families.values())
        self._only = [family[0] for family in self._families] if all(len(family) == 1 for family in self._families) else None
        """The limits where no family has several; else which ones are shown depends on their use."""

    def of(self, admission: Admission) -> Headers:
        """Return the headers of an answer.

        Of several limits of one family the headers show the one with the smallest share left; of two that are equally used up, the one
        that resets later.
        """
        used, reset_ms = admission.used, admission.reset_ms
        headers: list[tuple[str, str]] = []
        for at, amount, header, remaining, reset in self._only or [_closest(family, admission) for family in self._families]:
            left = amount - used[at]
            headers += header, (remaining, str(left) if left > 0 else "0"), (reset, go_duration(reset_ms[at]))
        return tuple(headers)


def _closest(limits: Sequence[_Limit], admission: Admission) -> _Limit:
    return min(limits, key=lambda limit: (max(limit.amount - admission.used[limit.at], 0) / limit.amount, -admission.reset_ms[limit.at]))
