"""Durations as Go prints them, which is how OpenAI's rate limit headers and texts have them (docs/contract.md, Headers)."""

from typing import Final

_SECOND: Final = 1000
_MINUTE: Final = 60 * _SECOND
_HOUR: Final = 60 * _MINUTE


def go_duration(milliseconds: int) -> str:
    """Return a duration as Go's `time.Duration.String`: `0s`, `120ms`, `9.816s`, `6m0s`, `1h23m31s`."""
    if milliseconds < 0:
        return f"-{go_duration(-milliseconds)}"
    if 0 < milliseconds < _SECOND:
        return f"{milliseconds}ms"
    hours, rest = divmod(milliseconds, _HOUR)
    minutes, rest = divmod(rest, _MINUTE)
    # Five digits at most, so nothing is lost.
    text = f"{rest / _SECOND:g}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{hours}h{text}" if hours else text
