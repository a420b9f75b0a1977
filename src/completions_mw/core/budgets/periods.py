"""The calendar periods of budgets, in UTC. Weeks start on Monday (ISO 8601)."""

from datetime import UTC, datetime, timedelta
from typing import Final, Literal

Period = Literal["hour", "day", "week", "month", "total"]

_FORMATS: Final = {"hour": "%Y-%m-%dT%H", "day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m"}
_ADJECTIVES: Final = {"hour": "hourly", "day": "daily", "week": "weekly", "month": "monthly", "total": "total"}
_LONGER_THAN_ANY_MONTH: Final = timedelta(days=32)


def period_of(period: Period, now: float) -> str:
    """Return the name of the period at `now` (seconds since the epoch): `2026-11-23T04`, `2026-11-23`, `2026-W48`, `2026-11` or `total`.

    Names of one kind sort in the order of time.
    """
    return "total" if period == "total" else _utc(now).strftime(_FORMATS[period])


def period_end(period: Period, now: float) -> datetime | None:
    """Return the end of the period at `now` (seconds since the epoch), None for `total`."""
    if period == "total":
        return None
    start = _utc(now).replace(minute=0, second=0, microsecond=0)
    if period == "hour":
        return start + timedelta(hours=1)
    midnight = start.replace(hour=0)
    if period == "day":
        return midnight + timedelta(days=1)
    if period == "week":
        return midnight + timedelta(days=7 - midnight.weekday())
    return (midnight.replace(day=1) + _LONGER_THAN_ANY_MONTH).replace(day=1)


def adjective(period: Period) -> str:
    """Return the adjective of a kind of period, as `monthly`."""
    return _ADJECTIVES[period]


def _utc(now: float) -> datetime:
    return datetime.fromtimestamp(now, UTC)
