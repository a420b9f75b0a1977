"""The tables of models, keys and connections."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, model_validator

from completions_mw.settings.base import SettingsModel
from completions_mw.settings.secrets import MEMORY, AdmissionAddress, ClientSecret, LedgerAddress
from completions_mw.settings.types import (
    Amount,
    Count,
    Instant,
    Interval,
    ModelName,
    Name,
    Rate,
    Rates,
    Seconds,
    Sha256,
    Text,
    Timestamp,
    UsdPerMillion,
    file_path,
    model_name,
)


@dataclass(frozen=True, slots=True)
class TargetName:
    """Where a model's requests go: a provider of ours, and the model's name there."""

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


def _target(value: object) -> TargetName:
    if isinstance(value, TargetName):
        return value
    provider, _, model = value.partition("/") if isinstance(value, str) else ("", "", "")
    if not (provider and model):
        raise ValueError("should be `provider/model`")
    return TargetName(provider, model_name(model))


def _not_empty(values: tuple[object, ...]) -> tuple[object, ...]:
    # pydantic's own `min_length` would also count an item that has an error of its own as missing.
    if not values:
        raise ValueError("should have at least one item")
    return values


_NOT_EMPTY = AfterValidator(_not_empty)


class Prices(SettingsModel):
    """USD per million tokens."""

    input: UsdPerMillion
    output: UsdPerMillion
    cached_input: UsdPerMillion | None = None
    reasoning: UsdPerMillion | None = None


class Limits(SettingsModel):
    """How often, how much and how many at once; any number of rates, in the syntax of the `limits` package."""

    requests: Rates = ()
    tokens: Rates = ()
    """Of prompts and answers together."""
    concurrency: Count | None = None
    """Requests at the same time."""

    if TYPE_CHECKING:
        # What hooks may write, for their type checkers; pydantic turns it into the fields.
        def __init__(
            self, *, requests: str | Sequence[str | Rate] = (), tokens: str | Sequence[str | Rate] = (), concurrency: int | None = None
        ) -> None: ...


class Budget(SettingsModel):
    """What may be spent in a calendar period, UTC. Weeks start on Monday."""

    usd: Amount
    period: Literal["hour", "day", "week", "month", "total"]

    if TYPE_CHECKING:

        def __init__(self, *, usd: Decimal | str | float, period: Literal["hour", "day", "week", "month", "total"]) -> None: ...


class Allowance(SettingsModel):
    """What somebody may use: a tenant, or each caller that the `authenticate` hook names."""

    limits: Limits = Field(default_factory=Limits)
    budget: Budget | None = None


class ModelSettings(SettingsModel):
    """A model under the name that clients send."""

    targets: Annotated[tuple[Annotated[TargetName, BeforeValidator(_target), PlainSerializer(str)], ...], _NOT_EMPTY] = ()
    """In the order in which they are tried; none for a Python function of the same name."""
    prices: Prices | None = None
    """Without them, those of the `price_table`."""
    max_output_tokens: Count = 4096
    """What an answer is reserved with where the request sets no maximum; with a budget, also the maximum that is asked for then."""
    limits: Limits = Field(default_factory=Limits)
    """Of all callers together."""
    owned_by: Text = "completions_mw"
    created: Timestamp = 0
    """Both only for `GET /models` (SPEC section 12)."""


class KeySettings(SettingsModel):
    """An API key that clients send. Of its secret only the digest is kept."""

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
    limits: Limits = Field(default_factory=Limits)
    budget: Budget | None = None
    max_cost: Amount | None = None
    """USD that one request may cost at most; the general one by default."""
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


class StoreSettings(SettingsModel):
    """Where state is kept, and what happens when it is down (DESIGN section 8). Addresses are secrets, because they hold passwords."""

    admission: AdmissionAddress = MEMORY
    """Counters and leases. In memory each process has its own."""
    ledger: LedgerAddress | None = None
    """Keys, money and usage. Without one: `sqlite:///completions.db` where there is a budget, else nothing is kept."""
    namespace: Name = "completions_mw"
    """What the names in Redis start with: the same for all workers of an app, another one for another app."""
    strict: bool = False
    """Whether the stores are reached and checked when the gateway is built, instead of at the first request."""
    admission_failure: Literal["local", "closed", "open"] = "local"
    """While the admission store is down: each process has its share of the limits, nobody gets in, or everybody."""
    workers: Count = 1
    """Processes that share the admission store; the share is the limit divided by them."""
    lease_ttl: Annotated[Seconds, Field(ge=1, le=3600)] = 30.0
    """Seconds after which what a dead worker held is free again."""
    key_cache: Annotated[Interval, Field(le=5)] = 1.0
    """Seconds for which a key that was looked up is believed: the longest that a revocation takes."""
    spool: Annotated[str, AfterValidator(file_path)] | None = None
    """A file for settlements that the ledger could not take, so that they outlive the process; relative to the settings' folder."""
    retention_days: Annotated[Count, Field(le=36_500)] | None = None
    """For which rows of requests are kept; for ever by default."""


class Connections(SettingsModel):
    """The connections to upstreams, for each process and event loop."""

    max: Count = 100
    keep_alive: Interval = 5.0
    """Seconds for which an idle connection is kept."""
