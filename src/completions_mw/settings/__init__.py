"""What operators write: one frozen tree, the same in TOML, in code and in the environment (DESIGN section 6)."""

from completions_mw.settings.providers import EchoSettings, LlamaCppSettings, OpenAISettings, ProviderSettings, Timeouts
from completions_mw.settings.tables import Budget, CacheSettings, Connections, KeySettings, Limits, ModelSettings, Prices, Stores, Target
from completions_mw.settings.tree import Settings, unenforced

__all__ = [
    "Budget",
    "CacheSettings",
    "Connections",
    "EchoSettings",
    "KeySettings",
    "Limits",
    "LlamaCppSettings",
    "ModelSettings",
    "OpenAISettings",
    "Prices",
    "ProviderSettings",
    "Settings",
    "Stores",
    "Target",
    "Timeouts",
    "unenforced",
]
