"""The settings of an operator: one frozen tree, the same in TOML, in Python and in environment variables. docs/settings.md has them all.

settings.py      the root of the tree, `Settings`
providers/       [providers.<name>]: upstreams and models in this process, one file for each kind
compatible.py    the services that speak OpenAI's API, one row for each
capabilities.py  what an upstream supports of OpenAI's API
safe_params.py   parameters of vendors that compatible servers get
models.py        [models.<name>]: names that clients send, targets, prices
keys.py          [keys.<name>]: API keys
cache.py         [cache] and [models.<name>.cache]
embeddings.py    [embeddings]
limits.py        rate limits and budgets of keys, tenants, callers and models
routing.py       [retries] and [breaker]: targets that fail
stores.py        [stores] and [connections]
base.py          the base class of all tables
types.py         types of single values
rates.py         the type of rates such as `60/minute`
secrets.py       types of secrets and addresses, which may be written `env:NAME` or `file:PATH`
sources.py       reads TOML files and environment variables
errors.py        texts of the errors for wrong settings
"""

from completions_mw.settings.cache import CacheSettings, ModelCacheSettings, When
from completions_mw.settings.embeddings import EmbeddingSettings
from completions_mw.settings.keys import KeySettings
from completions_mw.settings.limits import Allowance, Budget, Limits
from completions_mw.settings.models import ModelSettings, Prices, TargetName
from completions_mw.settings.providers import (
    AnthropicSettings,
    AwsSignature,
    AzureSettings,
    BedrockSettings,
    CustomSettings,
    EchoSettings,
    GeminiSettings,
    LlamaCppSettings,
    OpenAISettings,
    ProviderSettings,
    TimeoutSettings,
    UpstreamSettings,
)
from completions_mw.settings.rates import Rate
from completions_mw.settings.routing import BreakerSettings, FallbackOn, RetrySettings
from completions_mw.settings.settings import Settings
from completions_mw.settings.stores import Connections, StoreSettings

__all__ = [
    "Allowance",
    "AnthropicSettings",
    "AwsSignature",
    "AzureSettings",
    "BedrockSettings",
    "BreakerSettings",
    "Budget",
    "CacheSettings",
    "Connections",
    "CustomSettings",
    "EchoSettings",
    "EmbeddingSettings",
    "FallbackOn",
    "GeminiSettings",
    "KeySettings",
    "Limits",
    "LlamaCppSettings",
    "ModelCacheSettings",
    "ModelSettings",
    "OpenAISettings",
    "Prices",
    "ProviderSettings",
    "Rate",
    "RetrySettings",
    "Settings",
    "StoreSettings",
    "TargetName",
    "TimeoutSettings",
    "UpstreamSettings",
    "When",
]
