"""The tables `[models.<name>]`."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer

from completions_mw.settings.base import SettingsModel
from completions_mw.settings.cache import ModelCacheSettings
from completions_mw.settings.limits import Limits
from completions_mw.settings.types import (
    NOT_EMPTY,
    Count,
    ParamName,
    Text,
    Timestamp,
    UnknownParams,
    UnsupportedParams,
    UsdPerMillion,
    model_name,
)


@dataclass(frozen=True, slots=True)
class TargetName:
    """Name of a target, `provider/model`: a provider in the settings, and the name of the model at that provider."""

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


class Prices(SettingsModel):
    """Prices of a model, in USD per million tokens. Cached input and reasoning cost as much as other tokens unless they are given."""

    input: UsdPerMillion
    output: UsdPerMillion
    cached_input: UsdPerMillion | None = None
    reasoning: UsdPerMillion | None = None


class ModelSettings(SettingsModel):
    """A model, under the name that clients send."""

    targets: Annotated[tuple[Annotated[TargetName, BeforeValidator(_target), PlainSerializer(str)], ...], NOT_EMPTY] = ()
    """Targets in the order in which they are tried; none for a Python function of the same name."""
    unknown_params: UnknownParams | None = None
    """What happens to parameters that OpenAI's API does not have, where it differs from the setting of the model's providers."""
    forward_params: frozenset[ParamName] = frozenset()
    """Names of such parameters that all targets of this model get, beside those of their providers."""
    unsupported_params: UnsupportedParams | None = None
    """What happens to parameters that a target does not take, where it differs from the setting of the target's provider."""
    prices: Prices | None = None
    """Prices of all targets; by default those in the `price_table`."""
    max_output_tokens: Count = 4096
    """Completion tokens that are reserved for a request without a maximum. If the caller has a budget, the request gets this maximum."""
    image_tokens: Count | None = None
    """Tokens that an image costs at most; by default those that OpenAI publishes for the model, by the image's size and detail."""
    audio_tokens: Count | None = None
    """Tokens that a second of sound costs at most; by default 10 at OpenAI's models, and 50 at others."""
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
