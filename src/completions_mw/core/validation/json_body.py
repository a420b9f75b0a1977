"""The fields of a request, from a JSON body or from Python objects, within bounds (docs/promises.md, Bounds)."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any, Final

from pydantic_core import PydanticSerializationError, from_json, to_json

from completions_mw.errors import InvalidRequestError

_UNREADABLE_TEXT: Final = "We could not parse the JSON body of your request."
_MALFORMED_TEXT: Final = (
    _UNREADABLE_TEXT + " (HINT: This likely means you aren't using your HTTP library correctly. The OpenAI API expects a JSON payload, "
    "but what was sent was not valid JSON. The first fault is at {where}. "
    "If you have trouble figuring out how to fix this, please contact whoever runs this server.)"
)
_MAX_NUMBER: Final = sys.float_info.max
_NON_STRUCTURE_BYTES: Final = bytes(set(range(256)) - set(b'"{[,'))
_ATOM_TYPES: Final = frozenset({int, float, bool, NoneType})
COUNTED_AFTER_PARSING_BYTES: Final = 256 * 1024
"""Size of a body up to which items are counted after parsing: it cannot fill the memory, and counting in bytes is slower."""

TYPE_NAMES: Final[dict[type, str]] = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal number",
    dict: "an object",
    list: "an array",
    NoneType: "null",
}
"""Names of JSON types in OpenAI's errors, by Python type (docs/contract.md, Validation)."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of a request's structure; the pipeline and the adapters bound its bytes."""

    max_depth: int = 64
    """Maximum of nested objects and arrays."""
    max_items: int = 100_000
    """Maximum of values in all objects and arrays together; an empty object or array counts as one value."""
    max_messages: int = 2048


DEFAULT_BOUNDS: Final = Bounds()


def parse_json_body(body: bytes, bounds: Bounds) -> dict[str, Any]:
    """Return the fields of a request's body; of repeated names, the last counts.

    Raises:
        InvalidRequestError: the body is not strict JSON (RFC 8259, UTF-8, finite numbers), not an object, or out of bounds.
    """
    if len(body) > COUNTED_AFTER_PARSING_BYTES:
        _check_size(body, bounds.max_items)
    try:
        fields = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        # The parser's text holds no content, and only the position in it is the same in all versions.
        where = str(error).rpartition(" at ")[2]
    else:
        if type(fields) is not dict:
            got = TYPE_NAMES[type(fields)]
            raise InvalidRequestError(f"Invalid type: expected an object, but got {got} instead.", code="invalid_type")
        check_values(fields, bounds)
        return fields
    raise InvalidRequestError(_MALFORMED_TEXT.format(where=where))


def check_values(fields: dict[str, Any], bounds: Bounds) -> None:
    """Refuse fields that are out of bounds, or hold a number that no upstream can read.

    Raises:
        InvalidRequestError: the fields are nested too deeply, have too many items or messages, or hold a number out of range.
    """
    messages, limit = fields.get("messages"), bounds.max_messages
    if type(messages) is list and len(messages) > limit:
        text = f"Expected an array with maximum length {limit}, but got an array with length {len(messages)} instead."
        code = "array_above_max_length"
        raise InvalidRequestError(f"Invalid 'messages': array too long. {text}", param="messages", code=code)
    items = depth = 0
    level: list[Any] = [fields]
    while level:
        depth += 1
        if depth > bounds.max_depth:
            raise _unreadable(f"It is nested deeper than {bounds.max_depth} levels.")
        inner: list[Any] = []
        for node in level:
            items += len(node) or 1
            # Inline, because a call for each node would double the cost of the loop.
            for value in node.values() if type(node) is dict else node:
                kind = type(value)
                if kind is str:
                    continue
                if kind is dict or kind is list:
                    inner.append(value)
                elif (kind is int or kind is float) and not -_MAX_NUMBER <= value <= _MAX_NUMBER:
                    raise _unreadable("It has a number that is out of range.")
        if items > bounds.max_items:
            raise _unreadable(f"It has more than {bounds.max_items} items.")
        level = inner


def normalise(fields: Mapping[str, Any], bounds: Bounds = DEFAULT_BOUNDS) -> dict[str, Any]:
    """Return the arguments of a direct call as plain JSON values; messages may be objects of this package or of an SDK.

    Raises:
        InvalidRequestError: a value cannot be written as JSON, or is out of bounds.
    """
    plain: dict[str, Any] = dict(fields)
    check_values(plain, bounds)
    if all(map(_is_plain, plain.values())):
        return plain
    try:
        plain = from_json(to_json(plain, inf_nan_mode="constants", exclude_none=True), allow_inf_nan=False)
    except (PydanticSerializationError, ValueError) as error:
        problem = f"The request has a value that JSON cannot carry ({type(error).__name__})."
    else:
        check_values(plain, bounds)
        return plain
    raise InvalidRequestError(problem)


def _is_plain(value: Any) -> bool:
    """Return whether `value` is plain JSON already. Text beyond ASCII is not, because it may have lone surrogates."""
    kind = type(value)
    if kind is dict:
        return all(type(name) is str and name.isascii() for name in value) and all(map(_is_plain, value.values()))
    if kind is list:
        return all(map(_is_plain, value))
    return kind in _ATOM_TYPES or (kind is str and str.isascii(value))


def _check_size(body: bytes, max_items: int) -> None:
    """Refuse a body with too many items before it is parsed. Each item follows a comma or an opening bracket.

    Raises:
        InvalidRequestError: the body has more than `max_items` items.
    """
    # Faster than `bytes.count`: `replace` finds the next mark with memchr, and stops at the limit.
    if sum(len(body) - len(body.replace(mark, b"", max_items + 1)) for mark in (b",", b"{", b"[")) <= max_items:
        return
    structure = body.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _NON_STRUCTURE_BYTES)
    # An item has at most two strings, a name and a value, so a body with more strings has too many items.
    too_many = structure.count(b'"') > 4 * (max_items + 1)
    if too_many or len(b"".join(structure.replace(b'""', b"").split(b'"')[::2])) > max_items:
        raise _unreadable(f"It has more than {max_items} items.")


def _unreadable(hint: str) -> InvalidRequestError:
    return InvalidRequestError(f"{_UNREADABLE_TEXT} (HINT: {hint})")
