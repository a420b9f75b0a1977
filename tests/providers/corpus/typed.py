"""Checks values against the types of SDKs, which are typed dictionaries."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import TypeAdapter


def check_typed(kind: Any, value: dict[str, Any]) -> None:
    """Check that `value` is of a typed dictionary: nothing is missing, of another type, or unknown to it."""
    # A member that the type does not know is lost, so that the values differ.
    assert _read(_adapter(kind).validate_python(value)) == value


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _read(value: Any) -> Any:
    """Return a validated value whose lists have been read: pydantic validates their items on the way."""
    if isinstance(value, dict):
        return {name: _read(item) for name, item in value.items()}
    return [_read(item) for item in value] if isinstance(value, list | Iterator) else value
