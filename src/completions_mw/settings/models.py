"""The tables `[models.<name>]`."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer

from completions_mw.settings.base import SettingsModel
from completions_mw.settings.limits import Limits
from completions_mw.settings.types import NOT_EMPTY, Count, Text, Timestamp, UsdPerMillion, model_name


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


class Prices(SettingsModel):
    """USD per million tokens."""

    input: UsdPerMillion
    output: UsdPerMillion
    cached_input: UsdPerMillion | None = None
    reasoning: UsdPerMillion | None = None


class ModelSettings(SettingsModel):
    """A model under the name that clients send."""

    targets: Annotated[tuple[Annotated[TargetName, BeforeValidator(_target), PlainSerializer(str)], ...], NOT_EMPTY] = ()
    """In the order in which they are tried; none for a Python function of the same name."""
    prices: Prices | None = None
    """Without them, those of the `price_table`."""
    max_output_tokens: Count = 4096
    """What an answer is reserved with where the request sets no maximum; with a budget, also the maximum that is asked for then."""
    limits: Limits = Field(default_factory=Limits)
    """Of all callers together."""
    owned_by: Text = "completions_mw"
    created: Timestamp = 0
    """Both only for `GET /models` (docs/contract.md, Models)."""
