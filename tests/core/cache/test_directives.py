"""`Cache-Control` of requests (RFC 9111 section 5.2.1): what is odd is ignored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from completions_mw.core.cache.directives import NO_DIRECTIVES, CacheControl, parse_cache_control


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", NO_DIRECTIVES),
        ("no-store", CacheControl(no_store=True)),
        ("No-Store , NO-CACHE", CacheControl(no_store=True, no_cache=True)),
        ("max-age=60", CacheControl(max_age=60)),
        ('max-age="60"', CacheControl(max_age=60)),
        ("max-age = 60", CacheControl(max_age=60)),
        ("max-age=0", CacheControl(no_cache=True, max_age=0)),
        ("max-age=60, max-age=5, max-age=7", CacheControl(max_age=5)),
        ("max-age=x, max-age=5, max-age", CacheControl(max_age=5)),
        ("max-age=99999999999999999999", CacheControl(max_age=2**31)),
        ("only-if-cached, max-age=1", CacheControl(max_age=1, only_if_cached=True)),
        ("max-age=-1", NO_DIRECTIVES),
        ("max-age=1.5", NO_DIRECTIVES),
        ("max-age=\u00b2", NO_DIRECTIVES),
        ('private="no-store, no-cache", s-maxage=5, no-transform, min-fresh=3', NO_DIRECTIVES),
        ('x="a\\", no-store", no-cache', CacheControl(no_cache=True)),
        ("no-storex, xno-store", NO_DIRECTIVES),
        (",;=\x00 no-cache;", CacheControl(no_cache=True)),
        ("no-store," + "x" * 300, NO_DIRECTIVES),
    ],
)
def test_directives(header: str, expected: CacheControl) -> None:
    assert parse_cache_control(header) == expected


@given(st.text(max_size=64))
def test_no_header_is_an_error(header: str) -> None:
    parse_cache_control(header)


@pytest.mark.parametrize(("control", "asks"), [("max-age=5", True), ("only-if-cached", True), ("no-cache", False), ("", False)])
def test_who_asks_for_caching(control: str, asks: bool) -> None:
    assert parse_cache_control(control).asks is asks
