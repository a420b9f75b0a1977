"""Durations in texts and headers of limits."""

from functools import lru_cache
from typing import Final

MAX_CACHED_TEXTS: Final = 1024
"""Number of durations whose texts are cached: windows that began together end together, and requests come many to a millisecond."""
_SECOND: Final = 1000
_MINUTE: Final = 60 * _SECOND


@lru_cache(MAX_CACHED_TEXTS)
def go_duration(milliseconds: int) -> str:
    """Return a duration as Go's `time.Duration.String` does, as in OpenAI's headers: `0s`, `120ms`, `9.816s`, `6m0s`, `1h23m31s`."""
    if milliseconds < 0:
        return f"-{go_duration(-milliseconds)}"
    if 0 < milliseconds < _SECOND:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, _MINUTE)
    # `g` keeps six digits, and 59.999 has five.
    text = f"{rest / _SECOND:g}s"
    if not minutes:
        return text
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{text}" if hours else f"{minutes}m{text}"
