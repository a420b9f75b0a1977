"""The `x-ratelimit-` headers (docs/contract.md, Headers)."""

from typing import NamedTuple

import pytest

from completions_mw.core.limits.headers import Family, LimitHeaders
from completions_mw.core.ports import Admission
from completions_mw.http import Headers


class Limit(NamedTuple):
    family: Family
    allowed: int
    used: int
    reset_ms: int


def shown(*limits: Limit) -> Headers:
    """Return the headers of limits that stand so."""
    headers = LimitHeaders([(one.family, one.allowed) for one in limits])
    return headers.of(Admission(True, [one.used for one in limits], [one.reset_ms for one in limits], []))


def test_headers_of_all_families() -> None:
    levels = [Limit("requests", 500, 1, 120), Limit("tokens", 10_000, 3082, 360_000), Limit("project-tokens", 60_000, 3000, 3000)]
    assert shown(*levels) == (
        ("x-ratelimit-limit-requests", "500"),
        ("x-ratelimit-remaining-requests", "499"),
        ("x-ratelimit-reset-requests", "120ms"),
        ("x-ratelimit-limit-tokens", "10000"),
        ("x-ratelimit-remaining-tokens", "6918"),
        ("x-ratelimit-reset-tokens", "6m0s"),
        ("x-ratelimit-limit-project-tokens", "60000"),
        ("x-ratelimit-remaining-project-tokens", "57000"),
        ("x-ratelimit-reset-project-tokens", "3s"),
    )


def test_no_limit_no_headers() -> None:
    assert shown() == ()


@pytest.mark.parametrize("turned", [False, True], ids=["first", "last"])
@pytest.mark.parametrize(
    ("closest", "other"),
    [
        (Limit("requests", 10, 9, 5), Limit("requests", 1000, 800, 7)),
        (Limit("requests", 1000, 901, 5), Limit("requests", 10, 9, 7)),
        (Limit("requests", 10, 10, 9000), Limit("requests", 1000, 1000, 7)),
        (Limit("requests", 10, 25, 9000), Limit("requests", 1000, 1000, 7)),
    ],
    ids=["share", "closer", "both used up", "overdrawn"],
)
def test_the_limit_that_is_closest_is_shown(closest: Limit, other: Limit, turned: bool) -> None:
    assert shown(*((other, closest) if turned else (closest, other))) == shown(closest)


def test_what_remains_is_never_negative() -> None:
    assert dict(shown(Limit("tokens", 10, 25, 5)))["x-ratelimit-remaining-tokens"] == "0"
