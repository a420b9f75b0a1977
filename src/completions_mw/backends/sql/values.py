"""Converts parameters and rows to what both databases can store, and back."""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, Final

from pydantic_core import PydanticSerializationError, to_json

from completions_mw.core.budgets import escape

ESCAPE_MARK: Final = "\ufdd0"
"""The character that begins what was changed for being stored (core/budgets/escape.py)."""
_MARK_BYTES: Final = ESCAPE_MARK.encode()
MAX_INTEGER: Final = 2**63 - 1
"""The largest integer that the databases can store."""


def bound(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as they are stored. Larger integers become `MAX_INTEGER`: no budget is that large."""
    return {name: stored(value) for name, value in params.items()}


def stored(value: Any) -> Any:
    """Return a value as it is stored, also one of lists, tuples and mappings."""
    if isinstance(value, str):
        return escape.escaped(value)
    if isinstance(value, int):
        return min(value, MAX_INTEGER)
    if isinstance(value, list | tuple):
        return [stored(item) for item in value]
    return bound(value) if isinstance(value, dict) else value


def row_values(rows: Iterable[Iterable[Any]]) -> list[Any]:
    """Return the values of all rows one after another, as they are stored."""
    values = [*chain.from_iterable(rows)]
    return values if _json_of_storable(values) else [stored(value) for value in values]


def json_of(values: Any) -> bytes:
    """Return values as JSON, as they are stored."""
    return _json_of_storable(values) or to_json(stored(values))


def restored(rows: Iterable[Iterable[Any]]) -> list[tuple[Any, ...]]:
    """Return rows as they were before they were stored."""
    return [tuple([escape.restored(value) if isinstance(value, str) else value for value in row]) for row in rows]


def _json_of_storable(values: Any) -> bytes | None:
    """Return values as JSON; None where one of them may have to be changed for being stored, which is rare, and soon seen in the JSON."""
    try:
        json = to_json(values)
    except PydanticSerializationError:
        # A lone surrogate.
        return None
    return None if b"\\u0000" in json or _MARK_BYTES in json else json
