"""The response cache of a gateway, from the settings."""

from collections.abc import Container, Mapping

from completions_mw.core.cache import ResponseCache
from completions_mw.core.cache.policy import policy_of
from completions_mw.core.dispatch.catalog import CatalogModel
from completions_mw.core.ports import Clock
from completions_mw.gateway.backends import Backends
from completions_mw.gateway.stores import Stores
from completions_mw.settings import ModelCacheSettings, Settings

_NO_SETTINGS = ModelCacheSettings()


def response_cache(
    settings: Settings,
    models: Mapping[str, CatalogModel],
    functions: Container[str],
    stores: Stores,
    backends: Backends,
    clock: Clock,
) -> ResponseCache | None:
    """Return the cache of a gateway; None if no model's answers are cached.

    Args:
        settings: all settings.
        models: all models by name.
        functions: names of the models that are Python functions.
        stores: stores of the gateway.
        backends: makes the backends.
        clock: time.
    """
    if stores.responses is None:
        return None
    tables = {name: model.cache for name, model in settings.models.items()}
    policies = {
        name: policy
        for name, model in models.items()
        if (policy := policy_of(settings.cache, tables.get(name, _NO_SETTINGS), model, is_function=name in functions))
    }
    flights, background = backends.flights(), stores.background
    return ResponseCache(policies, stores.responses, flights, background, clock, settings.cache, settings.keep_alive)
