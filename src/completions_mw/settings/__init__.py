"""What operators write: one frozen tree, the same in TOML, in code and in the environment."""

from completions_mw.settings.providers import EchoSettings, LlamaCppSettings, OpenAISettings, ProviderSettings, TimeoutSettings
from completions_mw.settings.settings import Settings
from completions_mw.settings.stores import (
    Allowance,
    Budget,
    Connections,
    KeySettings,
    Limits,
    ModelSettings,
    Prices,
    StoreSettings,
    TargetName,
)
from completions_mw.settings.types import Rate

__all__ = [
    "Allowance",
    "Budget",
    "Connections",
    "EchoSettings",
    "KeySettings",
    "Limits",
    "LlamaCppSettings",
    "ModelSettings",
    "OpenAISettings",
    "Prices",
    "ProviderSettings",
    "Rate",
    "Settings",
    "StoreSettings",
    "TargetName",
    "TimeoutSettings",
]
