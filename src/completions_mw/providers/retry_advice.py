"""When an upstream says that a retry may succeed (RFC 9110, section 10.2.3; `retry-after-ms` is OpenAI's own)."""

from contextlib import suppress
from email.utils import parsedate_to_datetime
from math import ceil, isfinite

from completions_mw.errors import NO_RETRY_HEADERS, retry_headers
from completions_mw.http import Headers

_MAX_LENGTH = 40
"""Characters of a header that is read: an HTTP date has 29."""


def retry_advice(headers: Headers) -> Headers:
    """Return an upstream's advice as response headers: bounded, and empty if it names no time in the future.

    A date counts from the upstream's own `date`, since clocks differ.
    """
    found = {name: value.strip() for name, value in headers if len(value) <= _MAX_LENGTH}
    if found.get("x-should-retry", "").lower() == "false":
        return NO_RETRY_HEADERS
    seconds = _seconds(found.get("retry-after-ms"), 1000) or _seconds(found.get("retry-after"), 1)
    if seconds is None:
        seconds = _seconds_until(found.get("retry-after"), found.get("date"))
    return () if seconds is None else retry_headers(ceil(min(seconds, 1e9) * 1000))


def _seconds(text: str | None, per_second: int) -> float | None:
    """Return a positive number of seconds; None for any other text."""
    try:
        seconds = float(text or "") / per_second
    except ValueError:
        return None
    return seconds if isfinite(seconds) and seconds > 0 else None


def _seconds_until(date: str | None, now: str | None) -> float | None:
    if date and now:
        with suppress(ValueError, TypeError, OverflowError):
            seconds = (parsedate_to_datetime(date) - parsedate_to_datetime(now)).total_seconds()
            return seconds if seconds > 0 else None
    return None
