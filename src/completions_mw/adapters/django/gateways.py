"""Builds the gateways of a Django project from its settings."""

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from inspect import isawaitable
from typing import Any, Final, NamedTuple

from completions_mw.adapters.support import needs, settings_of
from completions_mw.core.hooks import is_async
from completions_mw.errors import ConfigurationError
from completions_mw.gateway import AsyncGateway, Gateway
from completions_mw.settings import Settings
from completions_mw.settings.base import suggestion

with needs("django"):
    from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
    from django.conf import settings
    from django.utils.module_loading import import_string

Hook = Callable[[Any], Any]

SETTINGS: Final = "COMPLETIONS_MW"
MODELS: Final = "COMPLETIONS_MW_MODELS"
EMBEDDINGS: Final = "COMPLETIONS_MW_EMBEDDINGS"
AUTHENTICATE: Final = "COMPLETIONS_MW_AUTHENTICATE"
ON_BUDGET: Final = "COMPLETIONS_MW_ON_BUDGET"
SETTING_NAMES: Final = (SETTINGS, MODELS, EMBEDDINGS, AUTHENTICATE, ON_BUDGET)
"""Names of all Django settings that the adapter reads."""


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
    models, embeddings = _functions(MODELS), _functions(EMBEDDINGS)
    authenticate, on_budget, own_settings = _hook(AUTHENTICATE), _hook(ON_BUDGET), project_settings()
    return Gateways(
        Gateway(own_settings, models=models, embeddings=embeddings, authenticate=_blocking(authenticate), on_budget=_blocking(on_budget)),
        AsyncGateway(
            own_settings, models=models, embeddings=embeddings, authenticate=_awaitable(authenticate), on_budget=_awaitable(on_budget)
        ),
    )


def project_settings() -> Settings:
    """Return the `Settings` in Django's setting `COMPLETIONS_MW`.

    Raises:
        ConfigurationError: the setting is missing or of another type, or its content cannot work.
    """
    return settings_of(getattr(settings, SETTINGS, None), f"settings.{SETTINGS}")


def _functions(name: str) -> dict[str, Hook]:
    functions = getattr(settings, name, None) or {}
    if not isinstance(functions, Mapping):
        raise ConfigurationError(f"settings.{name}: should be a mapping of names to functions")
    return {model: _function(value, f"{name}[{model!r}]") for model, value in functions.items()}


def _hook(name: str) -> Hook | None:
    value = getattr(settings, name, None)
    return None if value is None else _function(value, name)


def _function(value: Any, name: str) -> Hook:
    try:
        function: Hook = import_string(value) if isinstance(value, str) else value
    except ImportError as error:
        raise ConfigurationError(f"settings.{name}: {error}") from error
    if not callable(function):
        raise ConfigurationError(f"settings.{name}: should be a function or its dotted path, not {type(function).__name__}")
    return function


def _is_async(hook: Hook) -> bool:
    # asgiref marks async functions in its own way, which inspect does not recognise before Python 3.12.
    return is_async(hook) or iscoroutinefunction(hook)


def _blocking(hook: Hook | None) -> Hook | None:
    """Return a blocking hook for WSGI: an async one runs on an event loop that lasts as long as the call."""
    return hook if hook is None or not _is_async(hook) else async_to_sync(hook)


def _awaitable(hook: Hook | None) -> Hook | None:
    """Return an async hook for ASGI: a blocking one runs in Django's thread for blocking code, where it may use the database."""
    if hook is None or _is_async(hook):
        return hook
    call_in_thread: Callable[[Any], Awaitable[Any]] = sync_to_async(hook)

    async def call(argument: Any) -> Any:
        answer = await call_in_thread(argument)
        return await answer if isawaitable(answer) else answer

    return call
