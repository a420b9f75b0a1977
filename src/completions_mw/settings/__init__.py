"""What operators write: one frozen tree, the same in TOML, in code and in the environment.

settings.py   the root, `Settings`
providers.py  [providers.<name>]: upstreams and models in this process
compatible.py servers that speak OpenAI's API: their base URLs and what they take
models.py     [models.<name>]: names that clients send, targets, prices
keys.py       [keys.<name>]: API keys
limits.py     rate limits and budgets, of keys, tenants, callers and models
stores.py     [stores] and [connections]
base.py       what all tables have in common
types.py      the types of single values
secrets.py    secrets and addresses, which may be written `env:NAME` or `file:PATH`
sources.py    TOML files and environment variables
errors.py     what a wrong setting is told
"""

from completions_mw.settings.keys import KeySettings
from completions_mw.settings.limits import Allowance, Budget, Limits
from completions_mw.settings.models import ModelSettings, Prices, TargetName
from completions_mw.settings.providers import EchoSettings, LlamaCppSettings, OpenAISettings, ProviderSettings, TimeoutSettings
from completions_mw.settings.settings import Settings
from completions_mw.settings.stores import Connections, StoreSettings
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
