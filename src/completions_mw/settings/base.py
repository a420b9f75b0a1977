"""What all tables of the settings have in common: they are frozen, and know their fields."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

Location = tuple[str | int, ...]


def faults(found: Iterable[tuple[Location, str]]) -> ValidationError:
    """Return an error at fields further down than the validator that finds it."""
    return ValidationError.from_exception_data(
        "settings",
        [InitErrorDetails(type=PydanticCustomError("settings", "{text}", {"text": text}), loc=at, input=None) for at, text in found],
    )


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return the words that help someone who wrote `name` where only `known` are possible."""
    names = list(known)
    if close := get_close_matches(name, names, 1):
        return f"did you mean `{close[0]}`?"
    return "known are " + ", ".join(f"`{one}`" for one in names) if names else "there are none"


class SettingsModel(BaseModel):
    """A table of the settings. Its mappings are plain dicts: treat them as read-only, as the type says."""

    # Deferred, because a class builds its validator in milliseconds, and Settings needs a single one; an import should cost nothing.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)

    not_enforced: ClassVar[frozenset[str]] = frozenset()
    """Controls that are designed and not built: refused, lest anybody believes in them."""

    @model_validator(mode="before")
    @classmethod
    def _suggest_fields(cls, values: Any) -> Any:
        """Refuse unknown fields before pydantic does, whose text has no suggestion."""
        fields = cls.model_fields
        unknown = [name for name in values if isinstance(name, str) and name not in fields] if isinstance(values, Mapping) else []
        if unknown:
            raise faults(((name,), cls._refusal(name)) for name in unknown)
        return values

    @classmethod
    def _refusal(cls, name: str) -> str:
        if name in cls.not_enforced:
            return "is not enforced by this version; remove it"
        return f"is not a field here; {suggestion(name, cls.model_fields)}"
