"""The tables of models, keys and connections."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, model_validator

from completions_mw.settings.secret_values import ClientSecret
from completions_mw.settings.table import Table
from completions_mw.settings.values import Count, Instant, Interval, ModelName, Name, Price, Sha256, Text, Timestamp, model_name


@dataclass(frozen=True, slots=True)
class Target:
    """Where a model's requests go: a provider of ours, and the model's name there."""

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


def _target(value: object) -> Target:
    if isinstance(value, Target):
        return value
    provider, _, model = value.partition("/") if isinstance(value, str) else ("", "", "")
    if not (provider and model):
        raise ValueError("should be `provider/model`")
    return Target(provider, model_name(model))


def _not_empty(values: tuple[object, ...]) -> tuple[object, ...]:
    # pydantic's own `min_length` would also count an item that has an error of its own as missing.
    if not values:
        raise ValueError("should have at least one item")
    return values


_NOT_EMPTY = AfterValidator(_not_empty)


class Prices(Table):
    """USD per million tokens."""

    input: Price
    output: Price
    cached_input: Price | None = None
    reasoning: Price | None = None


class ModelSettings(Table):
    """A model under the name that clients send."""

    targets: Annotated[tuple[Annotated[Target, BeforeValidator(_target), PlainSerializer(str)], ...], _NOT_EMPTY]
    """In the order in which they are tried."""
    prices: Prices | None = None
    owned_by: Text = "completions_mw"
    created: Timestamp = 0
    """Both only for `GET /models` (SPEC section 12)."""


class KeySettings(Table):
    """An API key that clients send. Of its secret only the digest is kept."""

    not_enforced: ClassVar = frozenset({"budget", "limits"})
    secret: ClientSecret | None = Field(default=None, exclude=True, repr=False)
    """Only read: None once the key is built."""
    secret_sha256: Sha256 = Field(default="", repr=False)
    """In hexadecimal, lower case."""
    tenant: Name = ""
    """The cache and shared limits are scoped by it; the key's own id unless given."""
    models: Annotated[tuple[ModelName, ...], _NOT_EMPTY] | None = None
    """The names it may use; None for all."""
    expires_at: Instant | None = None
    disabled: bool = False
    metadata: Mapping[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _keep_only_the_digest(self) -> Self:
        if (self.secret is None) == (not self.secret_sha256):
            raise ValueError("should have exactly one of `secret` and `secret_sha256`")
        if self.secret is not None:
            digest = hashlib.sha256(self.secret.get_secret_value().encode()).hexdigest()
            # Frozen for everybody else: the plain secret must not outlive this line.
            self.__dict__.update(secret=None, secret_sha256=digest)
        return self


class Connections(Table):
    """The connections to upstreams, for each process and event loop."""

    max: Count = 100
    keep_alive: Interval = 5.0
    """Seconds for which an idle connection is kept."""
