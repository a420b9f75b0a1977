"""The base class of all tables of the settings, and errors for fields that do not exist."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

Location = tuple[str | int, ...]
"""Path of a setting from the table that is validated."""
DID_YOU_MEAN: Final = "did you mean"


def faults(found: Iterable[tuple[Location, str]]) -> ValidationError:
    """Return one validation error for several faults, each with the location of its setting below the table that is validated."""
    return ValidationError.from_exception_data("settings", [fault(at, text) for at, text in found])


def fault(at: Location, text: str) -> InitErrorDetails:
    """Return one line of a validation error: a fault at the location `at`."""
    return InitErrorDetails(type=PydanticCustomError("settings", "{text}", {"text": text}), loc=at, input=None)


def suggestion(name: str, known: Iterable[str], more: Iterable[str] = ()) -> str:
    """Return a hint for an unknown `name`: the most similar of the `known` names and of `more`, or all that are known."""
    names = list(known)
    if close := get_close_matches(name, [*names, *more], 1):
        return f"{DID_YOU_MEAN} `{close[0]}`?"
    return "known are " + ", ".join(f"`{one}`" for one in names) if names else "there are none"


class SettingsModel(BaseModel):
    """Base class of the tables of the settings. Mappings in it are plain dicts: treat them as read-only, as their type says."""

    # Validators are built on first use: each takes milliseconds, and Settings needs only its own, which includes the others.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _suggest_fields(cls, values: Any) -> Any:
        """Refuse unknown fields before pydantic does: its text has no suggestion."""
        fields = cls.model_fields
        unknown = [name for name in values if isinstance(name, str) and name not in fields] if isinstance(values, Mapping) else []
        if unknown:
            raise ValidationError.from_exception_data("settings", [cls._unknown_field(name, values[name]) for name in unknown])
        return values

    @classmethod
    def _unknown_field(cls, name: str, value: Any) -> InitErrorDetails:
        refusal = f"is not a field here; {suggestion(name, cls.model_fields)}"
        if not isinstance(value, Mapping) or DID_YOU_MEAN in refusal:
            return fault((name,), refusal)
        # TOML reads `[models.gpt-4.1.mini]` as a table within a table.
        path = [name]
        while len(value) == 1:
            ((within, content),) = value.items()
            if not isinstance(within, str) or not isinstance(content, Mapping) or within in cls.model_fields:
                break
            path.append(within)
            value = content
        text = PydanticCustomError("unquoted", "{text}", {"text": refusal, "depth": len(path)})
        return InitErrorDetails(type=text, loc=tuple(path), input=None)
