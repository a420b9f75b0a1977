from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from completions_mw.core.budgets.periods import Period, adjective, period_end, period_of

PERIODS: tuple[Period, ...] = get_args(Period)
instants = st.datetimes(datetime(1971, 1, 1), datetime(2900, 1, 1), timezones=st.just(UTC)).map(lambda when: when.timestamp())


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("period", "now", "name", "end"),
    [
        ("hour", "2026-11-23T04:59:59.999Z", "2026-11-23T04", "2026-11-23T05:00:00+00:00"),
        ("hour", "2026-12-31T23:00:00Z", "2026-12-31T23", "2027-01-01T00:00:00+00:00"),
        ("day", "2026-11-23T04:43:00Z", "2026-11-23", "2026-11-24T00:00:00+00:00"),
        ("day", "2028-02-28T12:00:00Z", "2028-02-28", "2028-02-29T00:00:00+00:00"),
        ("week", "2026-11-23T00:00:00Z", "2026-W48", "2026-11-30T00:00:00+00:00"),
        ("week", "2026-11-22T23:59:59Z", "2026-W47", "2026-11-23T00:00:00+00:00"),
        ("week", "2027-01-03T12:00:00Z", "2026-W53", "2027-01-04T00:00:00+00:00"),
        ("week", "2024-12-30T12:00:00Z", "2025-W01", "2025-01-06T00:00:00+00:00"),
        ("month", "2026-11-23T04:43:00Z", "2026-11", "2026-12-01T00:00:00+00:00"),
        ("month", "2026-12-31T23:59:59Z", "2026-12", "2027-01-01T00:00:00+00:00"),
        ("month", "2028-01-31T00:00:00Z", "2028-01", "2028-02-01T00:00:00+00:00"),
        ("month", "2026-11-30T20:00:00-05:00", "2026-12", "2027-01-01T00:00:00+00:00"),
    ],
)
def test_calendar_periods_in_utc(period: Period, now: str, name: str, end: str) -> None:
    assert period_of(period, at(now)) == name
    ends = period_end(period, at(now))
    assert ends is not None
    assert ends.isoformat() == end


def test_the_total_never_ends() -> None:
    assert (period_of("total", 1e9), period_end("total", 1e9)) == ("total", None)


@given(st.sampled_from(PERIODS), instants, instants)
def test_the_names_sort_as_the_periods_do(period: Period, one: float, other: float) -> None:
    earlier, later = sorted([one, other])
    assert period_of(period, earlier) <= period_of(period, later)


@given(st.sampled_from([period for period in PERIODS if period != "total"]), instants)
def test_a_period_ends_where_the_next_begins(period: Period, now: float) -> None:
    end = period_end(period, now)
    assert end is not None
    assert end.timestamp() > now
    assert period_of(period, (end - timedelta(seconds=1)).timestamp()) == period_of(period, now)
    assert period_of(period, end.timestamp()) != period_of(period, now)


def test_adjectives() -> None:
    assert [adjective(period) for period in PERIODS] == ["hourly", "daily", "weekly", "monthly", "total"]
