"""Converts parameters and rows to what both databases can store, and back."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic_core import PydanticSerializationError, to_json

from completions_mw.core.budgets import escape

ESCAPE_MARK: Final = "\ufdd0"
"""The character that begins what was changed for being stored (core/budgets/escape.py)."""
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


def json_of(values: Any) -> bytes:
    """Return values as JSON, as they are stored. Almost all of them hold nothing that must be changed, which the JSON shows."""
    try:
        text = to_json(values)
    except PydanticSerializationError:
        # A lone surrogate.
        return to_json(stored(values))
    return to_json(stored(values)) if b"\\u0000" in text or ESCAPE_MARK.encode() in text else text


def restored(rows: Iterable[Iterable[Any]]) -> list[tuple[Any, ...]]:
    """Return rows as they were before they were stored."""
    return [tuple([escape.restored(value) if isinstance(value, str) else value for value in row]) for row in rows]
