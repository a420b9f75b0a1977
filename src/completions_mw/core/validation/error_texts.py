"""Faults that pydantic finds in a request, in the words, paths and order of OpenAI's API (docs/contract.md, Validation).

Every text is a row of a table in this module; the models in `schemas` hold no texts.
"""

import re
from typing import Any, Final

from pydantic_core import ErrorDetails

from completions_mw.core.validation.faults import MODEL_RANK, UNKNOWN_RANK, Fault, FaultOrder
from completions_mw.core.validation.json_body import TYPE_NAMES
from completions_mw.errors import InvalidRequestError

MAX_SHOWN_VALUE_LENGTH: Final = 16
MAX_SHOWN_NAME_LENGTH: Final = 128
MAX_DECIMAL_BITS: Final = 4096
"""Bits of an integer up to which it is shown as a decimal: Python refuses to print more than 4300 digits."""

_TEXTS: Final = {
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
"""Code and text of each kind of error: pydantic's kinds, and the kinds into which `_interpret` divides some of them."""

_DEFAULT_TEXT: Final = ("invalid_value", "Invalid value for '{path}'.")

_TYPE_NAMES: Final = {
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
_UNION_NAMES: Final = {
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
    "input": "one of a string, array of strings, array of integers, or array of integer arrays",
}
"""Expected types at unions, by site. In a location of pydantic's, the step after a union is the tag of a member, not a field."""

_EXPECTED_NAMES: Final = {**_UNION_NAMES, "modalities": "an array of strings", "input:token_lists[]": "an array of integers"}

_DECIMAL_FIELDS: Final = frozenset({"temperature", "top_p", "presence_penalty", "frequency_penalty"})
_UNLISTED_VALUES: Final = frozenset({"scale"})
"""Values that the specification accepts and the live API does not name (docs/contract.md, Validation)."""


def unknown_parameter(name: str, hint: str = "") -> Fault:
    """Return the fault of a top-level field that the API does not have.

    Args:
        name: name of the field.
        hint: text behind that of OpenAI's API.
    """
    path = _clip(name)
    return Fault(UNKNOWN_RANK, InvalidRequestError(f"Unknown parameter: '{path}'.{hint}", param=path, code="unknown_parameter"))


def describe(details: ErrorDetails, order: FaultOrder) -> Fault:
    """Return the fault that OpenAI's API reports for one of pydantic's errors, with its rank in `order`."""
    field, rank = str(details["loc"][0]), order.rank(details)
    kind, values = _interpret(details)
    if rank == MODEL_RANK and kind in {"missing", "string_too_short"}:
        return Fault(rank, InvalidRequestError("you must provide a model parameter"))
    code, text = _TEXTS.get(kind, _DEFAULT_TEXT)
    value = values["input"]
    values |= {
        "value": _shown(value),
        "length": len(value) if isinstance(value, str | list | dict) else 0,
        "got": TYPE_NAMES.get(type(value), "an object"),
        "number": "decimal" if field in _DECIMAL_FIELDS else "integer",
    }
    return Fault(rank, InvalidRequestError(text.format_map(values), param=values["path"], code=code.format_map(values)))


def _interpret(details: ErrorDetails) -> tuple[str, dict[str, Any]]:
    """Return the key of the text in `_TEXTS`, and the values of its placeholders."""
    kind, location = details["type"], details["loc"]
    of_name = len(location) > 2 and location[-1] == "[key]"
    path, site = _locate(location[:-1] if of_name else location)
    values: dict[str, Any] = {"path": path, "parent": location[0], "input": details["input"], **details.get("ctx", {})}
    if kind in {"union_tag_not_found", "union_tag_invalid"}:
        return _choice(site, values)
    if kind == "literal_error":
        return _literal(site, values, values["expected"])
    if kind in _TYPE_NAMES:
        return "wrong_type", values | {"expected": _EXPECTED_NAMES.get(site, _TYPE_NAMES[kind])}
    if kind == "too_long" and values["field_type"] == "Dictionary":
        return "too_many_members", values
    return "name_too_long" if kind == "string_too_long" and of_name else kind, values


def _choice(site: str, values: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    discriminator = values["discriminator"]
    # A quoted discriminator is a member of the object; any other is a function of `schemas`, which discriminates by the JSON type.
    if not discriminator.startswith("'"):
        return "wrong_type", values | {"expected": _EXPECTED_NAMES[site]}
    member = discriminator.strip("'")
    values["path"] += f".{member}"
    if member not in values["input"]:
        return "missing", values
    values["input"] = values["input"][member]
    return _literal(site, values, values["expected_tags"])


def _literal(site: str, values: dict[str, Any], expected: str) -> tuple[str, dict[str, Any]]:
    names = [f"'{name}'" for name in re.findall("'([^']*)'", expected) if name not in _UNLISTED_VALUES]
    if type(values["input"]) is not str:
        return "wrong_type", values | {"expected": f"one of {_series(names, 'or')}"}
    kind = "unsupported_value" if site == "reasoning_effort" else "wrong_value"
    return kind, values | {"supported": _series(names, "and")}


def _series(values: list[str], last: str) -> str:
    if len(values) < 3:
        return f" {last} ".join(values)
    return f"{', '.join(values[:-1])}, {last} {values[-1]}"


def _locate(location: tuple[int | str, ...]) -> tuple[str, str]:
    """Return the path for the client, as `messages[0].content[1].text`, and the site for the tables, as `messages[]:user.content`."""
    path = site = ""
    for step in location:
        if isinstance(step, int):
            path, site = f"{path}[{step}]", f"{site}[]"
        elif site in _UNION_NAMES:
            site = f"{site}:{step}"
        else:
            dot = "." if path else ""
            path, site = f"{path}{dot}{_clip(step)}", f"{site}{dot}{step}"
    return path, site


def _clip(name: str) -> str:
    return name if len(name) <= MAX_SHOWN_NAME_LENGTH else _ends(name)


def _shown(value: object) -> str:
    """Return a value as errors show it: shortened, since a long value may be a secret in a wrong field (docs/promises.md, Secrets)."""
    if isinstance(value, float):
        return str(value)
    text = hex(value) if isinstance(value, int) and value.bit_length() > MAX_DECIMAL_BITS else str(value)
    return text if len(text) <= MAX_SHOWN_VALUE_LENGTH and not text.startswith("sk-") else _ends(text)


def _ends(text: str) -> str:
    return f"{text[:3]}...{text[-3:]}"
