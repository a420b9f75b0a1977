"""Base classes of requests and answers, and how they treat members that they do not declare."""

from itertools import islice
from typing import Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator
from pydantic_core import PydanticKnownError

_MAX_MEMBERS: Final = 16
"""Members of a strict object that are validated: more than any of them declares."""


class Input(BaseModel):
    """Base class of the parts of a request: frozen, without coercion, open to members that it does not declare.

    Clients send whole answers back as messages, with the members that a provider has added (docs/contract.md, Requests).
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="allow", hide_input_in_errors=True, defer_build=True)


class ModelRequest(Input):
    """Base class of whole requests. Models in this process get them, and can ask for the caller."""

    @property
    def caller(self) -> Any:
        """The `Caller` who made the request, or None for the host app itself. Only models in this process see it; it is not serialized.

        A function that asks another model on the caller's account passes it on: `gateway.complete(..., caller=request.caller)`.
        """
        return (self.__pydantic_private__ or {}).get("caller")

    def asked_by(self, caller: Any) -> None:
        """Set the `caller` of this request, a `Caller` or None."""
        # Not declared as a private attribute, which would cost every request, also those that never have a caller here.
        object.__setattr__(self, "__pydantic_private__", {"caller": caller})


class StrictInput(Input):
    """Base class of the parts of a request whose unknown members OpenAI refuses (docs/contract.md, Requests)."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _shorten(cls, value: object) -> object:
        # A larger object has an unknown member for certain, and each further one would cost an error that nobody reads.
        return dict(islice(value.items(), _MAX_MEMBERS)) if isinstance(value, dict) else value


class Output(BaseModel):
    """Base class of the parts of an answer: keeps every member that an upstream sent, declared or not."""

    model_config = ConfigDict(extra="allow", protected_namespaces=(), defer_build=True)


class WholeAnswer(Output):
    """Base class of whole answers, which direct calls return."""

    @property
    def cached(self) -> bool:
        """Whether a direct call was answered from the cache, or by the call of an identical request. It is not serialized."""
        return bool((self.__pydantic_private__ or {}).get("cached"))

    @property
    def ignored_params(self) -> tuple[str, ...]:
        """Parameters of the call that no target gets, or that change nothing at the target. They are not serialized."""
        names: tuple[str, ...] = (self.__pydantic_private__ or {}).get("ignored", ())
        return names

    @property
    def dropped_params(self) -> tuple[str, ...]:
        """Parameters of the call that the target did not get, or got with another value. They are not serialized."""
        names: tuple[str, ...] = (self.__pydantic_private__ or {}).get("dropped", ())
        return names

    def note(self, **notes: Any) -> None:
        """Set `cached`, `ignored` and `dropped`."""
        # Not declared as private attributes, which would cost every answer, also those of which there is nothing to note.
        object.__setattr__(self, "__pydantic_private__", notes)


def at_most(limit: int) -> BeforeValidator:
    """Return a validator that refuses objects with more than `limit` members before it looks at them, so that not each costs an error."""

    def check(value: object) -> object:
        if isinstance(value, dict) and len(value) > limit:
            raise PydanticKnownError("too_long", {"field_type": "Dictionary", "max_length": limit, "actual_length": len(value)})
        return value

    return BeforeValidator(check)


def shape(value: object) -> str | None:
    """Return the JSON type of `value`, the discriminator of unions whose members have different types; None for any other type."""
    return _SHAPES.get(type(value)) or ("object" if isinstance(value, BaseModel) else None)


_SHAPES: Final[dict[type, str]] = {str: "string", list: "array", dict: "object"}
