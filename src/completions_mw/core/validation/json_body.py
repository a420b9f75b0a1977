"""From the bytes of a request to its fields: bounded before it is built, and refused in OpenAI's words (docs/promises.md, Bounds)."""

import sys
from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import from_json

from completions_mw.errors import InvalidRequestError

_UNREADABLE: Final = "We could not parse the JSON body of your request."
_MALFORMED: Final = (
    _UNREADABLE + " (HINT: This likely means you aren't using your HTTP library correctly. The OpenAI API expects a JSON payload, "
    "but what was sent was not valid JSON. The first fault is at {where}. "
    "If you have trouble figuring out how to fix this, please contact whoever runs this server.)"
)
_LARGEST: Final = sys.float_info.max
_NOT_STRUCTURE: Final = bytes(set(range(256)) - set(b'"{[,'))
COUNTED_AFTER_PARSING_BYTES: Final = 256 * 1024
"""A body of this size cannot fill the memory, so its items are counted after they were built: counting bytes costs more."""

TYPE_NAMES: Final[dict[type, str]] = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal number",
    dict: "an object",
    list: "an array",
    type(None): "null",
}
"""How OpenAI's errors call the types of JSON (docs/contract.md, Validation)."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much structure a request may have; its bytes are bounded before, by the adapters."""

    max_depth: int = 64
    max_items: int = 100_000
    """Values of all objects and arrays together; an empty one counts as if it held one."""
    max_messages: int = 2048


def parse_json_body(body: bytes, bounds: Bounds) -> dict[str, Any]:
    """Return the fields of a request; of keys that are repeated, the last counts.

    Raises:
        InvalidRequestError: not strict JSON (RFC 8259, UTF-8, finite numbers), no object, or out of bounds.
    """
    if len(body) > COUNTED_AFTER_PARSING_BYTES:
        _check_size(body, bounds.max_items)
    try:
        fields = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        # The parser's own words name the fault and its place, never what stands there; only the place is stable.
        where = str(error).rpartition(" at ")[2]
    else:
        if type(fields) is not dict:
            got = TYPE_NAMES[type(fields)]
            raise InvalidRequestError(f"Invalid type: expected an object, but got {got} instead.", code="invalid_type")
        check_values(fields, bounds)
        return fields
    raise InvalidRequestError(_MALFORMED.format(where=where))


def check_values(fields: dict[str, Any], bounds: Bounds) -> None:
    """Refuse what is nested too deeply, has too many items or messages, or holds a number that no upstream can read.

    Raises:
        InvalidRequestError: one of these.
    """
    messages = fields.get("messages")
    if type(messages) is list and len(messages) > bounds.max_messages:
        raise _too_many_messages(len(messages), bounds.max_messages)
    items = depth = 0
    level: list[Any] = [fields]
    while level:
        depth += 1
        if depth > bounds.max_depth:
            raise _unreadable(f"It is nested deeper than {bounds.max_depth} levels.")
        inner: list[Any] = []
        for node in level:
            items += len(node) or 1
            # A call for each node would double the cost of this loop, which every request pays.
            for value in node.values() if type(node) is dict else node:
                kind = type(value)
                if kind is str:
                    continue
                if kind is dict or kind is list:
                    inner.append(value)
                elif (kind is int or kind is float) and not -_LARGEST <= value <= _LARGEST:
                    raise _unreadable("It has a number that is out of range.")
        if items > bounds.max_items:
            raise _unreadable(f"It has more than {bounds.max_items} items.")
        level = inner


def _check_size(body: bytes, max_items: int) -> None:
    """Refuse too many items without building them. Every item follows a comma or the bracket that opens its container."""
    if sum(_count(body, mark, max_items) for mark in (b",", b"{", b"[")) <= max_items:
        return
    structure = body.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _NOT_STRUCTURE)
    # Each item has at most two strings, a key and a value; more of them need not be told apart from what is inside of them.
    too_many = structure.count(b'"') > 4 * (max_items + 1)
    if too_many or len(b"".join(structure.replace(b'""', b"").split(b'"')[::2])) > max_items:
        raise _unreadable(f"It has more than {max_items} items.")


def _count(body: bytes, mark: bytes, limit: int) -> int:
    # `bytes.count` looks at every byte in turn; `replace` finds the next mark with memchr and stops at the limit.
    return len(body) - len(body.replace(mark, b"", limit + 1))


def _unreadable(hint: str) -> InvalidRequestError:
    return InvalidRequestError(f"{_UNREADABLE} (HINT: {hint})")


def _too_many_messages(count: int, limit: int) -> InvalidRequestError:
    return InvalidRequestError(
        f"Invalid 'messages': array too long. Expected an array with maximum length {limit}, but got an array with length {count} instead.",
        param="messages",
        code="array_above_max_length",
    )
