"""Builds the gateways of a Django project from its settings."""

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from inspect import isawaitable
from typing import Any, Final, NamedTuple

from completions_mw.adapters.support import needs, settings_of
from completions_mw.core.hooks import is_async
from completions_mw.errors import ConfigurationError
from completions_mw.gateway import AsyncGateway, Gateway
from completions_mw.gateway.options import GatewayOptions
from completions_mw.settings import Settings
from completions_mw.settings.base import suggestion

with needs("django"):
    from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
    from django.conf import settings
    from django.utils.module_loading import import_string

Hook = Callable[..., Any]

SETTINGS: Final = "COMPLETIONS_MW"
MODELS: Final = "COMPLETIONS_MW_MODELS"
EMBEDDINGS: Final = "COMPLETIONS_MW_EMBEDDINGS"
PROVIDERS: Final = "COMPLETIONS_MW_PROVIDERS"
CREDENTIALS: Final = "COMPLETIONS_MW_CREDENTIALS"
AUTHENTICATE: Final = "COMPLETIONS_MW_AUTHENTICATE"
ON_BUDGET: Final = "COMPLETIONS_MW_ON_BUDGET"
SEMANTIC_CACHE: Final = "COMPLETIONS_MW_SEMANTIC_CACHE"
SETTING_NAMES: Final = (SETTINGS, MODELS, EMBEDDINGS, PROVIDERS, CREDENTIALS, AUTHENTICATE, ON_BUDGET, SEMANTIC_CACHE)
"""Names of all Django settings that the adapter reads."""


class OwnCache(NamedTuple):
    """The methods of the project's own cache, as one of the gateways calls them: a `SemanticCache`."""

    lookup: Hook
    store: Hook


class Gateways(NamedTuple):
    """The gateways of one process: `blocking` for WSGI, `asynchronous` for ASGI. Neither opens a connection before its first request."""

    blocking: Gateway
    asynchronous: AsyncGateway


@cache
def gateways() -> Gateways:
    """Return the gateways of this process. The first call builds them.

    Raises:
        ConfigurationError: a setting cannot work, or is not known; the message names it.
    """
    for name in dir(settings):
        if name.startswith(SETTINGS) and name not in SETTING_NAMES:
            raise ConfigurationError(f"settings.{name}: is not a setting of completions_mw; {suggestion(name, SETTING_NAMES)}")
    models, embeddings, credentials = _functions(MODELS), _functions(EMBEDDINGS), _functions(CREDENTIALS)
    formats = {name: _made(value, f"{PROVIDERS}[{name!r}]") for name, value in _mapping(PROVIDERS, "wire formats").items()}
    authenticate, on_budget, own_cache = _hook(AUTHENTICATE), _hook(ON_BUDGET), _own_cache()

    def options(adapted: Callable[[Hook], Hook]) -> GatewayOptions:
        return {
            "models": models,
            "embeddings": embeddings,
            "providers": formats,
            "credentials": {name: adapted(function) for name, function in credentials.items()},
            "authenticate": None if authenticate is None else adapted(authenticate),
            "on_budget": None if on_budget is None else adapted(on_budget),
            "semantic_cache": None if own_cache is None else OwnCache(*map(adapted, own_cache)),
        }

    own_settings = project_settings()
    return Gateways(Gateway(own_settings, **options(_blocking)), AsyncGateway(own_settings, **options(_awaitable)))


def project_settings() -> Settings:
    """Return the `Settings` in Django's setting `COMPLETIONS_MW`.

    Raises:
        ConfigurationError: the setting is missing or of another type, or its content cannot work.
    """
    return settings_of(getattr(settings, SETTINGS, None), f"settings.{SETTINGS}")


def _functions(name: str) -> dict[str, Hook]:
    return {key: _function(value, f"{name}[{key!r}]") for key, value in _mapping(name, "functions").items()}


def _mapping(name: str, what: str) -> Mapping[str, Any]:
    values = getattr(settings, name, None) or {}
    if not isinstance(values, Mapping):
        raise ConfigurationError(f"settings.{name}: should be a mapping of names to {what}")
    return values


def _made(value: Any, name: str) -> Any:
    """Return the object that a setting is, names by its dotted path, or names the class of."""
    found = _imported(value, name)
    return found() if isinstance(found, type) else found


def _hook(name: str) -> Hook | None:
    value = getattr(settings, name, None)
    return None if value is None else _function(value, name)


def _own_cache() -> OwnCache | None:
    value = getattr(settings, SEMANTIC_CACHE, None)
    if value is None:
        return None
    found = _imported(value, SEMANTIC_CACHE)
    lookup, store = getattr(found, "lookup", None), getattr(found, "store", None)
    if isinstance(found, type) or not (callable(lookup) and callable(store)):
        raise ConfigurationError(f"settings.{SEMANTIC_CACHE}: should be an object with `lookup` and `store`, or its dotted path")
    return OwnCache(lookup, store)


def _function(value: Any, name: str) -> Hook:
    function: Hook = _imported(value, name)
    if not callable(function):
        raise ConfigurationError(f"settings.{name}: should be a function or its dotted path, not {type(function).__name__}")
    return function


def _imported(value: Any, name: str) -> Any:
    try:
        return import_string(value) if isinstance(value, str) else value
    except ImportError as error:
        raise ConfigurationError(f"settings.{name}: {error}") from error


def _is_async(hook: Hook) -> bool:
    # asgiref marks async functions in its own way, which inspect does not recognise before Python 3.12.
    return is_async(hook) or iscoroutinefunction(hook)


def _blocking(hook: Hook) -> Hook:
    """Return a blocking hook for WSGI: an async one runs on an event loop that lasts as long as the call."""
    return async_to_sync(hook) if _is_async(hook) else hook


def _awaitable(hook: Hook) -> Hook:
    """Return an async hook for ASGI: a blocking one runs in Django's thread for blocking code, where it may use the database."""
    if _is_async(hook):
        return hook
    call_in_thread: Callable[..., Awaitable[Any]] = sync_to_async(hook)

    async def call(*arguments: Any) -> Any:
        answer = await call_in_thread(*arguments)
        return await answer if isawaitable(answer) else answer

    return call
