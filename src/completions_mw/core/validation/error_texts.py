"""What pydantic found wrong with a request, in the words, paths and order of OpenAI's API (docs/contract.md, Validation).

Everything that can be said is a row of a table here; the models in `schemas` say nothing about errors.
"""

import re
from typing import Any, Final, NamedTuple

from pydantic_core import ErrorDetails

from completions_mw.core.validation.json_body import TYPE_NAMES
from completions_mw.errors import InvalidRequestError
from completions_mw.schemas import ChatRequest

_SHOWN_VALUE: Final = 16
_SHOWN_NAME: Final = 128
_PRINTABLE_BITS: Final = 4096
"""Python refuses to print integers of more than 4300 digits."""

_SAYINGS: Final = {
    "missing": ("missing_required_parameter", "Missing required parameter: '{path}'."),
    "extra_forbidden": ("unknown_parameter", "Unknown parameter: '{path}'."),
    "wrong_type": ("invalid_type", "Invalid type for '{path}': expected {expected}, but got {got} instead."),
    "wrong_value": ("invalid_value", "Invalid value: '{value}'. Supported values are: {supported}."),
    "unsupported_value": (
        "unsupported_value",
        "Unsupported value: '{path}' does not support '{value}' with this model. Supported values are: {supported}.",
    ),
    "greater_than_equal": (
        "{number}_below_min_value",
        "Invalid '{path}': {number} below minimum value. Expected a value >= {ge:.15g}, but got {value} instead.",
    ),
    "less_than_equal": (
        "{number}_above_max_value",
        "Invalid '{path}': {number} above maximum value. Expected a value <= {le:.15g}, but got {value} instead.",
    ),
    "finite_number": ("invalid_value", "Invalid value for '{path}': expected a finite number."),
    "too_short": (
        "empty_array",
        "Invalid '{path}': empty array. Expected an array with minimum length 1, but got an empty array instead.",
    ),
    "too_long": (
        "array_above_max_length",
        "Invalid '{path}': array too long. "
        "Expected an array with maximum length {max_length}, but got an array with length {length} instead.",
    ),
    "too_many_members": (
        "object_above_max_properties",
        "Invalid '{path}': too many properties. "
        "Expected an object with at most {max_length} properties, but got an object with {length} properties instead.",
    ),
    "string_too_short": (
        "empty_string",
        "Invalid '{path}': empty string. Expected a string with minimum length 1, but got an empty string instead.",
    ),
    "string_too_long": (
        "string_above_max_length",
        "Invalid '{path}': string too long. "
        "Expected a string with maximum length {max_length}, but got a string with length {length} instead.",
    ),
    "name_too_long": (
        "property_name_above_max_length",
        "Invalid property name in '{parent}': '{value}' is too long. "
        "Expected a string with maximum length {max_length}, but got a string with length {length} instead.",
    ),
    "string_pattern_mismatch": (
        "invalid_value",
        "Invalid '{path}': string does not match pattern. Expected a string that matches the pattern '{pattern}'.",
    ),
}
"""Code and text for each kind of error: pydantic's own kinds, and those that `_interpret` makes of them."""

_ANYTHING_ELSE: Final = ("invalid_value", "Invalid value for '{path}'.")

_TYPES: Final = {
    "string_type": "a string",
    "int_type": "an integer",
    "float_type": "a decimal",
    "bool_type": "a boolean",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "list_type": "an array of objects",
}

_ROLES: Final = ("system", "assistant", "user", "function", "tool", "developer")
_UNIONS: Final = {
    "messages[]": "an object",
    **{f"messages[]:{role}.content": "one of a string or array of objects" for role in _ROLES},
    "messages[]:user.content:array[]": "an object",
    "messages[]:assistant.content:array[]": "an object",
    "messages[]:assistant.tool_calls[]": "an object",
    "function_call": "one of one of 'none' or 'auto' or object",
    "tools[]": "an object",
    "tools[]:custom.custom.format": "an object",
    "tool_choice": "one of one of 'none', 'auto', or 'required' or object",
    "response_format": "an object",
    "stop": "one of a string or array of strings",
    "prediction.content": "one of a string or array of objects",
    "audio.voice": "one of a string or object",
}
"""What is expected where there is a choice. A name right after such a place is pydantic's tag of the choice, not a member."""

_EXPECTED: Final = {**_UNIONS, "modalities": "an array of strings"}

_DECIMALS: Final = frozenset({"temperature", "top_p", "presence_penalty", "frequency_penalty"})
_UNLISTED: Final = frozenset({"scale"})
"""Accepted by the specification, not named by the live API (docs/contract.md, Validation)."""

_MODEL, _MESSAGES, _UNKNOWN = -3, -2, -1
_ORDER: Final = {name: rank for rank, name in enumerate(ChatRequest.model_fields)}
_VALUES_LAST: Final = frozenset({"temperature", "top_p"})


class Fault(NamedTuple):
    """Something wrong with a request, and how early it is reported: the lowest rank wins."""

    rank: int
    error: InvalidRequestError


def rank_of(field: str, *, last: bool = False) -> int:
    """Return when faults of `field` are reported; `last` is for values that OpenAI's API looks at after everything else."""
    return _ORDER[field] + len(_ORDER) * last


def unknown_parameter(name: str) -> Fault:
    """Return the fault of a top-level field that the API does not have."""
    path = _clip(name)
    return Fault(_UNKNOWN, InvalidRequestError(f"Unknown parameter: '{path}'.", param=path, code="unknown_parameter"))


def describe(details: ErrorDetails) -> Fault:
    """Return what OpenAI's API says of one of pydantic's errors."""
    field, rank = str(details["loc"][0]), _rank(details)
    kind, leases = _interpret(details)
    if rank == _MODEL and kind in {"missing", "string_too_short"}:
        return Fault(rank, InvalidRequestError("you must provide a model parameter"))
    code, text = _SAYINGS.get(kind, _ANYTHING_ELSE)
    value = leases["input"]
    leases |= {
        "value": _shown(value),
        "length": len(value) if isinstance(value, str | list | dict) else 0,
        "got": TYPE_NAMES.get(type(value), "an object"),
        "number": "decimal" if field in _DECIMALS else "integer",
    }
    return Fault(rank, InvalidRequestError(text.format_map(leases), param=leases["path"], code=code.format_map(leases)))


def _rank(details: ErrorDetails) -> int:
    field, kind = str(details["loc"][0]), details["type"]
    if field == "model":
        return _MODEL
    if details["loc"] == ("messages",) and kind == "missing":
        return _MESSAGES
    return rank_of(field, last=field in _VALUES_LAST and kind in {"greater_than_equal", "less_than_equal"})


def _interpret(details: ErrorDetails) -> tuple[str, dict[str, Any]]:
    """Return the key of what is to be said, and what is known to fill it in."""
    kind, location = details["type"], details["loc"]
    of_name = len(location) > 2 and location[-1] == "[key]"
    path, site = _locate(location[:-1] if of_name else location)
    leases: dict[str, Any] = {"path": path, "parent": location[0], "input": details["input"], **details.get("ctx", {})}
    if kind in {"union_tag_not_found", "union_tag_invalid"}:
        return _choice(site, leases)
    if kind == "literal_error":
        return _literal(site, leases, leases["expected"])
    if kind in _TYPES:
        return "wrong_type", leases | {"expected": _EXPECTED.get(site, _TYPES[kind])}
    if kind == "too_long" and leases["field_type"] == "Dictionary":
        return "too_many_members", leases
    return "name_too_long" if kind == "string_too_long" and of_name else kind, leases


def _choice(site: str, leases: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    discriminator = leases["discriminator"]
    # Quoted, it names a member of the object; else it is one of our functions, which tell by the JSON type.
    if not discriminator.startswith("'"):
        return "wrong_type", leases | {"expected": _EXPECTED[site]}
    member = discriminator.strip("'")
    leases["path"] += f".{member}"
    if member not in leases["input"]:
        return "missing", leases
    leases["input"] = leases["input"][member]
    return _literal(site, leases, leases["expected_tags"])


def _literal(site: str, leases: dict[str, Any], expected: str) -> tuple[str, dict[str, Any]]:
    values = [f"'{value}'" for value in re.findall("'([^']*)'", expected) if value not in _UNLISTED]
    if type(leases["input"]) is not str:
        return "wrong_type", leases | {"expected": f"one of {_series(values, 'or')}"}
    kind = "unsupported_value" if site == "reasoning_effort" else "wrong_value"
    return kind, leases | {"supported": _series(values, "and")}


def _series(values: list[str], last: str) -> str:
    if len(values) < 3:
        return f" {last} ".join(values)
    return f"{', '.join(values[:-1])}, {last} {values[-1]}"


def _locate(location: tuple[int | str, ...]) -> tuple[str, str]:
    """Return the place for the client, as `messages[0].content[1].text`, and for the tables: no numbers, but tags of unions."""
    path = site = ""
    for step in location:
        if isinstance(step, int):
            path, site = f"{path}[{step}]", f"{site}[]"
        elif site in _UNIONS:
            site = f"{site}:{step}"
        else:
            dot = "." if path else ""
            path, site = f"{path}{dot}{_clip(step)}", f"{site}{dot}{step}"
    return path, site


def _clip(name: str) -> str:
    return name if len(name) <= _SHOWN_NAME else _ends(name)


def _shown(value: object) -> str:
    """Return as much of a value as may appear in an error: a long one may be a secret in the wrong place (docs/promises.md, Secrets)."""
    if isinstance(value, float):
        return str(value)
    text = hex(value) if isinstance(value, int) and value.bit_length() > _PRINTABLE_BITS else str(value)
    return text if len(text) <= _SHOWN_VALUE and not text.startswith("sk-") else _ends(text)


def _ends(text: str) -> str:
    return f"{text[:3]}...{text[-3:]}"
