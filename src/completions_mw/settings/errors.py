"""Texts of the errors for wrong settings: the path of the setting, and what is expected there. Never a value, which may be a secret."""

from pydantic import ValidationError
from pydantic_core import ErrorDetails

_MAX_PART_CHARS = 80
"""Characters of one part of a path that an error shows at most."""


def explain(error: ValidationError) -> str:
    """Return the text of a validation error: one line for each wrong setting."""
    return "\n".join(f"{_path(fault)}: {_reason(fault)}" for fault in error.errors(include_url=False, include_input=False))


def _path(fault: ErrorDetails) -> str:
    *parts, last = fault["loc"] or ("settings",)
    # pydantic appends this part for an error in the key of a mapping.
    location = parts if last == "[key]" else [*parts, last]
    if location[0] == "providers":
        # pydantic inserts the `api` of the provider here.
        del location[2:3]
    if fault["type"].startswith("union_tag"):
        location.append("api")
    return "".join(f"[{part}]" if isinstance(part, int) else f".{_shown(part)}" for part in location).removeprefix(".")


def _shown(part: str) -> str:
    shown = part if part.isprintable() else ascii(part)[1:-1]
    return shown if len(shown) <= _MAX_PART_CHARS else shown[: _MAX_PART_CHARS - 3] + "..."


def _reason(fault: ErrorDetails) -> str:
    match fault["type"]:
        case "missing" | "union_tag_not_found":
            return "is missing"
        case "union_tag_invalid":
            first, _, last = fault["ctx"]["expected_tags"].rpartition(", ")
            return f"should be {first} or {last}"
        case "tuple_type" | "frozen_set_type":
            return "should be a list"
        case "dict_type" | "mapping_type" | "model_type" | "model_attributes_type":
            return "should be a table"
        case "unquoted" if len(fault["loc"]) - fault["ctx"]["depth"] == len(("models", "name")):
            table, *parts = map(_shown, map(str, fault["loc"]))
            return f'is not a field here; a name that holds a dot is written in quotes, as [{table}."{".".join(parts)}"]'
    expected, _, _ = fault["msg"].partition(", unable to parse ")
    return expected.removeprefix("Value error, ").removeprefix("Input ").removeprefix("String ")
