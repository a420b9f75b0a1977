"""Values that no database refuses.

Names come from the host app and from upstreams, and may hold any character. PostgreSQL has no NUL in text, and neither database takes
half a surrogate pair, so those are written as an escape; U+FDD0, which is no character of any text, starts it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

MAX_INTEGER: Final = 2**63 - 1
_UNSTORABLE: Final = re.compile("[\x00\ufdd0\ud800-\udfff]")
_ESCAPE: Final = re.compile("\ufdd0([0-9a-f]{1,4});")


def bound(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as they are stored. Integers beyond 64 bits become the largest that fits: no budget is that large."""
    return {name: _bound(value) for name, value in params.items()}


def _bound(value: Any) -> Any:
    if isinstance(value, str):
        return _UNSTORABLE.sub(_escape, value)
    if isinstance(value, int):
        return min(value, MAX_INTEGER)
    return [_bound(item) for item in value] if isinstance(value, list) else value


def _escape(match: re.Match[str]) -> str:
    return f"\ufdd0{ord(match[0]):x};"


def restored(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return rows as they were before they were stored."""
    return [tuple([_restored(value) for value in row]) for row in rows]


def _restored(value: Any) -> Any:
    if isinstance(value, str) and "\ufdd0" in value:
        return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), value)
    return value
