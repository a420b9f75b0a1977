"""The tables `[models.<name>]`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from completions_mw.settings.base import SettingsModel, faults
from completions_mw.settings.cache import ModelCacheSettings
from completions_mw.settings.limits import Limits
from completions_mw.settings.routing import FallbackOn
from completions_mw.settings.types import (
    NOT_EMPTY,
    Count,
    ModelKind,
    ParamName,
    Text,
    Timestamp,
    UnknownParams,
    UnsupportedParams,
    UsdPerMillion,
    Weight,
    model_name,
)


@dataclass(frozen=True, slots=True)
class TargetName:
    """Name of a target, `provider/model`: a provider in the settings, and the name of the model at that provider."""

    provider: str
    model: str
    weight: float | None = None
    """Share of the requests, in proportion to the weights of the targets beside it; None for a target that is tried in its turn."""

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


def _target_name(value: object) -> TargetName:
    provider, _, model = value.partition("/") if isinstance(value, str) else ("", "", "")
    if not (provider and model):
        raise ValueError("should be `provider/model`")
    return TargetName(provider, model_name(model))


class _TargetTable(SettingsModel):
    """A target that is written as a table."""

    target: Annotated[TargetName, BeforeValidator(_target_name)]
    weight: Weight | None = None


def _target(value: object) -> TargetName:
    if isinstance(value, TargetName):
        return value
    if isinstance(value, Mapping):
        table = _TargetTable.model_validate(value)
        return replace(table.target, weight=table.weight)
    return _target_name(value)


def _plain(target: TargetName) -> Any:
    return str(target) if target.weight is None else {"target": str(target), "weight": target.weight}


class Prices(SettingsModel):
    """Prices of a model, in USD per million tokens. Tokens without a price of their own have that of `input` or `output`."""

    input: UsdPerMillion
    output: UsdPerMillion | None = None
    """Price of completion tokens; optional for an embeddings model only, whose answers have no tokens."""
    cached_input: UsdPerMillion | None = None
    reasoning: UsdPerMillion | None = None
    cache_write: UsdPerMillion | None = None
    """Price of prompt tokens that the provider writes to its cache, which is higher than `input` at Anthropic and Bedrock."""


class ModelSettings(SettingsModel):
    """A model, under the name that clients send."""

    kind: ModelKind | None = None
    """What the model is asked for: `chat` or `embeddings`. By default `embeddings` if the names of all its targets have `embed` in them, as
    `openai/text-embedding-3-small`, or if it is a Python function that the gateway was given as `embeddings`."""
    targets: Annotated[tuple[Annotated[TargetName, BeforeValidator(_target), PlainSerializer(_plain)], ...], NOT_EMPTY] = ()
    """Targets in the order in which they are tried; none for a Python function of the same name. Neighbours with a weight share the
    requests: `{ target = "openai/gpt-4o-mini", weight = 70 }`."""
    hedge: bool = False
    """Whether a second target is asked if the first one takes longer to its first byte than in 95 of 100 cases. Both are charged."""
    fallback_on: frozenset[FallbackOn] = frozenset()
    """Failures after which the next target is asked too, beside those after which it always is (docs/routing.md)."""
    unknown_params: UnknownParams | None = None
    """What happens to parameters that OpenAI's API does not have, where it differs from the setting of the model's providers."""
    forward_params: frozenset[ParamName] = frozenset()
    """Names of parameters that OpenAI's API does not have and all targets of this model get, beside those of their providers."""
    unsupported_params: UnsupportedParams | None = None
    """What happens to parameters that a target does not take, where it differs from the setting of the target's provider."""
    prices: Prices | None = None
    """Prices of all targets; by default those in the `price_table`."""
    max_output_tokens: Count = 4096
    """Completion tokens that are reserved for a request without a maximum. If the caller has a budget, the request gets this maximum."""
    image_tokens: Count | None = None
    """Tokens that an image costs at most; by default those that OpenAI publishes for the model, by the image's size and detail."""
    audio_tokens: Count | None = None
    """Tokens that a second of audio costs at most; by default 10 at OpenAI's models, and 50 at others."""
    file_tokens: Count | None = None
    """Tokens that a file costs at most; by default as many as the model's context window has."""
    limits: Limits = Field(default_factory=Limits)
    """Limits of all callers together."""
    cache: ModelCacheSettings = Field(default_factory=ModelCacheSettings)
    """Caching of answers, where it differs from the table `[cache]`. A Python function is cached only if `enabled` is set here."""
    owned_by: Text = "completions_mw"
    """Owner of the model in the answers of `GET {prefix}/models` (docs/contract.md, Models)."""
    created: Timestamp = 0
    """Time of creation in the answers of `GET {prefix}/models`, in seconds since 1970."""

    @property
    def kind_of_targets(self) -> ModelKind | None:
        """The `kind`, or else what the names of the targets say; None for a Python function without `kind`."""
        if self.kind is not None or not self.targets:
            return self.kind
        return "embeddings" if all("embed" in target.model.lower() for target in self.targets) else "chat"

    @model_validator(mode="after")
    def _check_prices(self) -> Self:
        if self.prices is not None and self.prices.output is None and self.kind_of_targets != "embeddings":
            hint = '; only a model with `kind = "embeddings"` has none' if self.kind_of_targets is None else ""
            raise faults([(("prices", "output"), f"is missing{hint}")])
        return self
