"""What a wrong setting is told: its path, as it was written, and what is expected there. Never a value, which may be a secret."""

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from completions_mw.settings.providers import PLANNED_APIS

_LONGEST_PART = 80


def explain(error: ValidationError) -> str:
    """Return one line for each wrong setting."""
    return "\n".join(f"{_path(fault)}: {_reason(fault)}" for fault in error.errors(include_url=False, include_input=False))


def _path(fault: ErrorDetails) -> str:
    *parts, last = fault["loc"] or ("settings",)
    # pydantic marks an error in a key of a mapping with one part more.
    location = parts if last == "[key]" else [*parts, last]
    if location[0] == "providers":
        # pydantic names the chosen kind of provider there.
        del location[2:3]
    if fault["type"].startswith("union_tag"):
        location.append("api")
    return "".join(f"[{part}]" if isinstance(part, int) else f".{_shown(part)}" for part in location).removeprefix(".")


def _shown(part: str) -> str:
    shown = part if part.isprintable() else ascii(part)[1:-1]
    return shown if len(shown) <= _LONGEST_PART else shown[: _LONGEST_PART - 3] + "..."


def _reason(fault: ErrorDetails) -> str:
    match fault["type"]:
        case "missing" | "union_tag_not_found":
            return "is missing"
        case "union_tag_invalid":
            return f"should be {fault['ctx']['expected_tags']}; not built yet: {', '.join(PLANNED_APIS)}"
        case "tuple_type":
            return "should be a list"
        case "dict_type" | "mapping_type" | "model_type" | "model_attributes_type":
            return "should be a table"
        case "unquoted" if len(fault["loc"]) - fault["ctx"]["depth"] == len(("models", "name")):
            table, *parts = map(_shown, map(str, fault["loc"]))
            return f'is not a field here; a name that holds a dot is written in quotes, as [{table}."{".".join(parts)}"]'
    return fault["msg"].removeprefix("Value error, ").removeprefix("Input ").removeprefix("String ")
