"""Fields of a key as an operator gives them, checked like settings: all faults at once, each with its field and without its value."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Self, TypedDict, TypeVar

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator, model_validator

from completions_mw.core.keys.owners import digest_of
from completions_mw.core.keys.secrets import new_public_id, secret_of
from completions_mw.core.ports import KeyRecord, SecretRecord
from completions_mw.errors import ConfigurationError
from completions_mw.settings import Budget, Limits
from completions_mw.settings.base import SettingsModel, faults
from completions_mw.settings.errors import explain
from completions_mw.settings.secrets import client_secret
from completions_mw.settings.types import Amount, Instant, ModelName, Sha256

MAX_LABEL_LENGTH: Final = 256
"""Maximum of characters in the name or tenant of a key."""


class KeyRules(TypedDict, total=False):
    """Optional fields of a key; None is the same as leaving a field out."""

    tenant: str | None
    """Organization whose limits and budget the key shares; none by default."""
    models: Iterable[str] | None
    """Names of models that the key may use; all by default."""
    limits: Limits | Mapping[str, Any] | None
    """Limits of the key, as `{"requests": "60/minute", "tokens": ["100000/minute"], "concurrency": 8}`."""
    budget: Budget | Mapping[str, Any] | None
    """Budget of the key, as `{"usd": "10.00", "period": "month"}`."""
    max_cost: Decimal | str | float | None
    """USD that one request may cost at most."""
    metadata: Mapping[str, str] | None
    """The operator's own notes."""
    expires_at: datetime | str | None
    """Time with its offset from UTC, as `2027-01-31T00:00:00Z`."""


class KeyChanges(KeyRules, total=False):
    """Changes to the fields of a key; a field that is left out keeps its value, and None removes a rule."""

    name: str


def _storable(text: str) -> str:
    # PostgreSQL stores no NUL, and no database a lone surrogate.
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("should have no NUL and no lone surrogate")
    return text


def _label(text: str) -> str:
    if not 1 <= len(text) <= MAX_LABEL_LENGTH:
        raise ValueError(f"should be 1 to {MAX_LABEL_LENGTH} characters")
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
        # None then gives a field its default, and unknown names stay, to be refused.
        return {name: value for name, value in values.items() if value is not None or name not in cls.model_fields}

    def applied_to(self, key: KeyRecord) -> KeyRecord:
        """Return `key` with these fields."""
        return replace(
            key,
            name=self.name,
            tenant=self.tenant or "",
            models=None if self.models is None else frozenset(self.models),
            limits=self.limits,
            budget=self.budget,
            max_cost=self.max_cost,
            metadata=dict(self.metadata),
            expires_at=self.expires_at.timestamp() if self.expires_at else None,
        )


class ImportedKey(KeyFields):
    """A key with a secret that clients already use, made by any system."""

    secret: Annotated[SecretStr, AfterValidator(_secret)] | None = None
    secret_sha256: Sha256 | None = None
    """SHA-256 of the whole secret, in hexadecimal."""
    disabled: bool = False

    @model_validator(mode="after")
    def _have_one_secret(self) -> Self:
        if (self.secret is None) == (self.secret_sha256 is None):
            raise faults([(("secret",), "should be there, or `secret_sha256`, and not both")])
        return self

    @property
    def digest(self) -> bytes:
        """SHA-256 of the secret, by which the key is looked up."""
        return digest_of(self.secret.get_secret_value()) if self.secret else bytes.fromhex(self.secret_sha256 or "")

    def record(self, now: float) -> SecretRecord:
        """Return the record that is kept of the secret; `now` is seconds since the epoch."""
        if self.secret is not None:
            return secret_of(self.secret.get_secret_value(), now)
        return SecretRecord(new_public_id(), self.digest, created_at=now)


Fields = TypeVar("Fields", bound=KeyFields)


def checked(kind: type[Fields], values: Mapping[str, Any]) -> Fields:
    """Return the checked fields of a key.

    Raises:
        ConfigurationError: a field is wrong; the text has a line for each, as `limits.requests: should be ...`.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        message = explain(error)
    # Outside the handler, so that pydantic's error, which holds the values and so the secret, is not chained.
    raise ConfigurationError(message)


def fields_of(key: KeyRecord) -> dict[str, Any]:
    """Return the fields of a key as `checked` takes them."""
    return {
        "name": key.name,
        "tenant": key.tenant or None,
        "models": key.models,
        "limits": key.limits,
        "budget": key.budget,
        "max_cost": key.max_cost,
        "metadata": key.metadata,
        "expires_at": None if key.expires_at is None else datetime.fromtimestamp(key.expires_at, UTC),
    }
