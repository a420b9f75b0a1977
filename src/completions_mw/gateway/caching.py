"""The response cache of a gateway, from the settings."""

from collections.abc import Mapping
from typing import Final

from completions_mw.core.cache import ResponseCache
from completions_mw.core.cache.policy import policy_of
from completions_mw.core.dispatch.catalog import CatalogModel
from completions_mw.core.hooks import missing_method
from completions_mw.core.ports import Clock
from completions_mw.errors import ConfigurationError
from completions_mw.gateway.backends import Backends
from completions_mw.gateway.kinds import functions_of
from completions_mw.gateway.options import GatewayOptions
from completions_mw.gateway.stores import Stores
from completions_mw.settings import ModelCacheSettings, Settings

_NO_SETTINGS = ModelCacheSettings()
_SEMANTIC_METHODS: Final = {"lookup": ("request", "scope"), "store": ("request", "scope", "answer")}


def response_cache(
    settings: Settings,
    models: Mapping[str, CatalogModel],
    options: GatewayOptions,
    stores: Stores,
    backends: Backends,
    clock: Clock,
) -> ResponseCache | None:
    """Return the cache of a gateway; None if no model's answers are cached.

    Args:
        settings: all settings.
        models: all models by name.
        options: keyword arguments of the gateway: its functions, and the host app's own cache.
        stores: stores of the gateway.
        backends: makes the backends.
        clock: time.

    Raises:
        ConfigurationError: the host app has a cache of its own that lacks a method, or the settings enable no caching.
    """
    semantic, functions = options.get("semantic_cache"), functions_of(options)
    if stores.responses is None:
        if semantic is not None:
            raise ConfigurationError("semantic_cache: needs `enabled` in the table [cache], or in that of a model")
        return None
    if semantic is not None:
        for method, arguments in _SEMANTIC_METHODS.items():
            if fault := missing_method(semantic, method, arguments):
                raise ConfigurationError(f"semantic_cache: {fault}")
    tables = {name: model.cache for name, model in settings.models.items()}
    policies = {
        name: policy
        for name, model in models.items()
        if (policy := policy_of(settings.cache, tables.get(name, _NO_SETTINGS), model, is_function=name in functions))
    }
    flights, background = backends.flights(), stores.background
    return ResponseCache(policies, stores.responses, flights, background, clock, settings.cache, settings.keep_alive, semantic)
