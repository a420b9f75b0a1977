"""How the models of this package treat what they do not know."""

from itertools import islice
from typing import Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator
from pydantic_core import PydanticKnownError

_ENOUGH_MEMBERS: Final = 16
"""More than any strict object declares."""


class Input(BaseModel):
    """A part of a request: no coercion, never changed, further members allowed.

    Members that SDKs echo or that a provider adds must pass: strict nested schemas caused storms of 400s elsewhere (docs/contract.md).
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="allow", hide_input_in_errors=True, defer_build=True)


class StrictInput(Input):
    """A part of a request whose unknown members are refused (docs/contract.md, Requests)."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _shorten(cls, value: object) -> object:
        # Beyond this size some member is unknown for certain, and each one more would cost an error that nobody reads.
        return dict(islice(value.items(), _ENOUGH_MEMBERS)) if isinstance(value, dict) else value


class Answer(BaseModel):
    """A part of an answer: keeps everything that an upstream sent, known or not."""

    model_config = ConfigDict(extra="allow", protected_namespaces=(), defer_build=True)


def at_most(limit: int) -> BeforeValidator:
    """Refuse an object with more than `limit` members before they are looked at, so that each bad one does not cost an error."""

    def check(value: object) -> object:
        if isinstance(value, dict) and len(value) > limit:
            raise PydanticKnownError("too_long", {"field_type": "Dictionary", "max_length": limit, "actual_length": len(value)})
        return value

    return BeforeValidator(check)


def shape(value: object) -> str | None:
    """Tell the members of a union apart by their JSON type, so that only the one that was meant is validated."""
    return _SHAPES.get(type(value)) or ("object" if isinstance(value, BaseModel) else None)


_SHAPES: Final[dict[type, str]] = {str: "string", list: "array", dict: "object"}
