"""What operators write: one frozen tree, the same in TOML, in code and in the environment."""

from completions_mw.settings.providers import EchoSettings, LlamaCppSettings, OpenAISettings, ProviderSettings, Timeouts
from completions_mw.settings.tables import Connections, KeySettings, ModelSettings, Prices, Target
from completions_mw.settings.tree import Settings

__all__ = [
    "Connections",
    "EchoSettings",
    "KeySettings",
    "LlamaCppSettings",
    "ModelSettings",
    "OpenAISettings",
    "Prices",
    "ProviderSettings",
    "Settings",
    "Target",
    "Timeouts",
]
