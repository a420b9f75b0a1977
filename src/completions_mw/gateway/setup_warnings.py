"""Warnings about settings that are valid, and probably do not work as intended. They are found when a gateway is built."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from logging import WARNING
from typing import Any, NamedTuple

from completions_mw.core.dispatch.catalog import CatalogModel
from completions_mw.core.telemetry.log import log_event
from completions_mw.errors import ConfigurationError
from completions_mw.gateway.store_checks import ledger_fault
from completions_mw.settings import KeySettings, Settings
from completions_mw.settings.secrets import MEMORY_ADDRESS, sqlite_file


class SetupWarning(NamedTuple):
    """A warning about the settings: logged as `event` when the gateway is built, and shown by `completions-mw check`."""

    event: str
    """Name of the log event."""
    text: str
    """Text for people: the setting, its fault, and how to correct it."""
    fields: Mapping[str, Any]
    """Fields of the log event."""


class SetupReport:
    """Checks the settings when a gateway is built, and logs a line for each warning.

    Args:
        settings: all settings.
        models: all models, also those that are Python functions.
        has_login: whether an `authenticate` function names callers, whose tenants need not be in the settings.
        with_tokens: names of the providers whose tokens come from a function.

    Raises:
        ConfigurationError: a key in the settings would be refused at every request.
    """

    def __init__(
        self, settings: Settings, models: Mapping[str, CatalogModel], *, has_login: bool, with_tokens: Collection[str] = ()
    ) -> None:
        if useless := list(_useless_keys(settings, models)):
            raise ConfigurationError("\n".join(useless))
        self.warnings = (*_setup_warnings(settings, models, has_login=has_login), *_keyless_providers(settings, with_tokens))
        is_logged = any(warning.event == "limits_not_shared" for warning in self.warnings)
        self._process_warnings = () if is_logged else tuple(_limits_not_shared(settings))
        _log(self.warnings)

    def note_processes(self) -> None:
        """Log once the warnings that apply if the server runs several processes."""
        warnings, self._process_warnings = self._process_warnings, ()
        _log(warnings)


def _setup_warnings(settings: Settings, models: Mapping[str, CatalogModel], *, has_login: bool) -> Iterator[SetupWarning]:
    if unpriced := sorted(_refused_for_no_price(settings, models)):
        who = "nobody may use them" if settings.unpriced == "deny" else "callers with a budget get 403"
        help = 'set `prices`, `price_table = "genai-prices"` or `unpriced = "free"`'
        yield SetupWarning("unpriced_models", f"models: no price for {', '.join(unpriced)}: {who}; {help}", {"models": unpriced})
    used = {key.tenant for key in settings.keys.values()}
    unused = [name for name in settings.tenants if name not in used]
    if unused and not has_login and not may_store_keys(settings):
        text = f"tenants: no key belongs to {', '.join(unused)}; a key says `tenant`, and a caller of `authenticate` may"
        yield SetupWarning("unused_tenants", text, {"tenants": unused})
    if unused := list(_unused_cache_settings(settings)):
        text = f"{', '.join(unused)}: nothing is cached without `enabled = true` in the table [cache], or in that of a model"
        yield SetupWarning("cache_not_enabled", text, {"settings": unused})
    if reason := ledger_fault(settings):
        yield SetupWarning("ledger_unwritable", f"stores.ledger: {reason}", {"reason": reason})
    for name, model in models.items():
        patient = [target.name for target in model.targets[:-1] if target.total >= model.route.seconds]
        if "timeout" in model.route.fallback_on and patient:
            fault = f"whole answers of {', '.join(patient)} may take {model.route.seconds:g} s, all the time that a request has"
            text = f"models.{name}.fallback_on: {fault}; set a shorter `total` in the `timeouts` of the provider"
            yield SetupWarning("no_time_to_fall_back", text, {"model": name, "targets": patient})
    if settings.stores.workers > 1 or os.environ.get("WEB_CONCURRENCY", "1").strip() not in ("", "0", "1"):
        yield from _limits_not_shared(settings)


def _unused_cache_settings(settings: Settings) -> Iterator[str]:
    """Yield the path of each table or setting for a cache that is neither enabled nor disabled anywhere."""
    tables = {"cache": settings.cache, **{f"models.{name}.cache": model.cache for name, model in settings.models.items()}}
    if any("enabled" in table.model_fields_set for table in tables.values()):
        return
    yield from (path for path, table in tables.items() if table.model_fields_set)
    if "cache" in settings.stores.model_fields_set:
        yield "stores.cache"


def _keyless_providers(settings: Settings, with_tokens: Collection[str]) -> Iterator[SetupWarning]:
    """Yield a warning if there are providers that refuse every request, because they get no credentials."""
    if keyless := [name for name, it in settings.providers.items() if not it.is_local and it.lacks_key and name not in with_tokens]:
        text = (
            f"providers: {', '.join(keyless)} will refuse requests without an `api_key`; without its table, a provider finds the key itself"
        )
        yield SetupWarning("keyless_providers", text, {"providers": keyless})


def _limits_not_shared(settings: Settings) -> Iterator[SetupWarning]:
    """Yield a warning if there are limits and each process counts them alone, so that a caller gets each limit once a process."""
    tables = (settings.keys, settings.tenants, settings.models)
    all_limits = [settings.callers.limits, *(row.limits for table in tables for row in table.values())]
    is_limited = any(limits.requests or limits.tokens or limits.concurrency for limits in all_limits)
    if settings.stores.admission == MEMORY_ADDRESS and (is_limited or settings.stores.workers > 1):
        text = "stores.admission: each process counts limits alone; name a store that all of them share, as redis://localhost"
        yield SetupWarning("limits_not_shared", text, {"admission": MEMORY_ADDRESS.get_secret_value()})


def _useless_keys(settings: Settings, models: Mapping[str, CatalogModel]) -> Iterator[str]:
    """Yield a line for each key in the settings that is refused at every request, since none of its models has a price."""
    for id, key in settings.keys.items():
        allowed = [models[name] for name in key.models or models]
        if not key.disabled and _needs_prices(settings, key) and not any(model.is_priced for model in allowed):
            why = '`unpriced` is "deny"' if settings.unpriced == "deny" else "there is a budget"
            help = 'set `prices` of a model, `price_table = "genai-prices"` or `unpriced = "free"`'
            yield f"keys.{id}: can use no model, because {why} and no model that it may use has a price; {help}"


def _needs_prices(settings: Settings, key: KeySettings) -> bool:
    tenant = settings.tenants.get(key.tenant or "")
    is_budgeted = key.budget is not None or (tenant is not None and tenant.budget is not None)
    return settings.unpriced == "deny" or (settings.unpriced is None and is_budgeted)


def _refused_for_no_price(settings: Settings, models: Mapping[str, CatalogModel]) -> set[str]:
    unpriced = {name for name, model in models.items() if not model.is_priced}
    if settings.unpriced is not None:
        return unpriced if settings.unpriced == "deny" else set()
    members = {key.tenant for key in settings.keys.values()}
    if settings.callers.budget or any(tenant.budget and name not in members for name, tenant in settings.tenants.items()):
        return unpriced
    budgeted = (key for key in settings.keys.values() if _needs_prices(settings, key))
    return {name for key in budgeted for name in key.models or models} & unpriced


def _log(warnings: Iterable[SetupWarning]) -> None:
    for warning in warnings:
        log_event(WARNING, warning.event, **warning.fields)


def may_store_keys(settings: Settings) -> bool:
    """Return whether there may be keys in the database of the ledger."""
    if settings.stores.ledger is None:
        return False
    file = sqlite_file(settings.stores.ledger.get_secret_value())
    return file is None or file.exists()
