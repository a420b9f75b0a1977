"""What an operator says of a key, checked as settings are: all faults at once, each with its field, never with its value."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Self, TypedDict, TypeVar

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator, model_validator

from completions_mw.core.keys.secrets import digest_of, new_public_id, secret_of
from completions_mw.core.ports import KeyRecord, SecretRecord
from completions_mw.errors import ConfigurationError
from completions_mw.settings import Budget, Limits
from completions_mw.settings.base import SettingsModel, faults
from completions_mw.settings.errors import explain
from completions_mw.settings.secrets import client_secret
from completions_mw.settings.types import Amount, Instant, ModelName, Sha256

_LONGEST_LABEL = 256


class KeyRules(TypedDict, total=False):
    """What may be said of a key beside its name; None is the same as nothing."""

    tenant: str | None
    """The key's own id by default."""
    models: Iterable[str] | None
    """The models that it may use; all by default."""
    limits: Limits | Mapping[str, Any] | None
    """As `{"requests": "60/minute", "tokens": ["100000/minute"], "concurrency": 8}`."""
    budget: Budget | Mapping[str, Any] | None
    """As `{"usd": "10.00", "period": "month"}`."""
    max_cost: Decimal | str | float | None
    """USD that one request may cost at most."""
    metadata: Mapping[str, str] | None
    expires_at: datetime | str | None
    """With its offset from UTC, as `2027-01-31T00:00:00Z`."""


class KeyChanges(KeyRules, total=False):
    """What may be changed of a key; what is not named stays as it is."""

    name: str


def _storable(text: str) -> str:
    # PostgreSQL keeps no NUL, and no database half a character.
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("should have no NUL and no lone surrogate")
    return text


def _label(text: str) -> str:
    if not 1 <= len(text) <= _LONGEST_LABEL:
        raise ValueError(f"should be 1 to {_LONGEST_LABEL} characters")
    return _storable(text)


def _secret(value: SecretStr) -> SecretStr:
    client_secret(value.get_secret_value())
    return value


_Label = Annotated[str, AfterValidator(_label)]
_Storable = Annotated[str, AfterValidator(_storable)]


class KeyFields(SettingsModel):
    """A key without its secret."""

    name: _Label
    tenant: _Label | None = None
    models: tuple[ModelName, ...] | None = None
    limits: Limits = Field(default_factory=Limits)
    budget: Budget | None = None
    max_cost: Amount | None = None
    metadata: Mapping[_Storable, _Storable] = Field(default_factory=dict)
    expires_at: Instant | None = None

    @field_validator("models")
    @classmethod
    def _at_least_one(cls, models: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if models == ():
            raise ValueError("should have at least one item; leave it out for all models")
        return models

    @model_validator(mode="before")
    @classmethod
    def _leave_out_nothing(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        # So that None clears a field that has a default of its own; names that are no fields stay, to be refused.
        return {name: value for name, value in values.items() if value is not None or name not in cls.model_fields}

    def applied_to(self, key: KeyRecord) -> KeyRecord:
        """Return `key` with these fields."""
        return replace(
            key,
            name=self.name,
            tenant=self.tenant or key.id,
            models=None if self.models is None else frozenset(self.models),
            limits=self.limits,
            budget=self.budget,
            max_cost=self.max_cost,
            metadata=dict(self.metadata),
            expires_at=self.expires_at.timestamp() if self.expires_at else None,
        )


class ImportedKey(KeyFields):
    """A key with a secret that clients have already, of whatever origin."""

    secret: Annotated[SecretStr, AfterValidator(_secret)] | None = None
    secret_sha256: Sha256 | None = None
    """Of the whole secret, in hexadecimal."""
    disabled: bool = False

    @model_validator(mode="after")
    def _have_one_secret(self) -> Self:
        if (self.secret is None) == (self.secret_sha256 is None):
            raise faults([(("secret",), "should be there, or `secret_sha256`, and not both")])
        return self

    @property
    def digest(self) -> bytes:
        """What is looked for when the secret comes."""
        return digest_of(self.secret.get_secret_value()) if self.secret else bytes.fromhex(self.secret_sha256 or "")

    def record(self, now: float) -> SecretRecord:
        """Return what is kept of the secret."""
        if self.secret is not None:
            return secret_of(self.secret.get_secret_value(), now)
        return SecretRecord(new_public_id(), self.digest, created_at=now)


Fields = TypeVar("Fields", bound=KeyFields)


def checked(kind: type[Fields], values: Mapping[str, Any]) -> Fields:
    """Return the fields of a key.

    Raises:
        ConfigurationError: a line for each wrong one, as `limits.requests: should be ...`.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        message = explain(error)
    # Not within the handler: pydantic's error carries the values, and one of them is a secret.
    raise ConfigurationError(message)


def fields_of(key: KeyRecord) -> dict[str, Any]:
    """Return what `checked` makes the same key of."""
    return {
        "name": key.name,
        "tenant": key.tenant,
        "models": key.models,
        "limits": key.limits,
        "budget": key.budget,
        "max_cost": key.max_cost,
        "metadata": key.metadata,
        "expires_at": None if key.expires_at is None else datetime.fromtimestamp(key.expires_at, UTC),
    }
