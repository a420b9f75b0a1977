"""The gateways of a Django project, built from its settings."""

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

TREE: Final = "COMPLETIONS_MW"
MODELS: Final = "COMPLETIONS_MW_MODELS"
AUTHENTICATE: Final = "COMPLETIONS_MW_AUTHENTICATE"
ON_BUDGET: Final = "COMPLETIONS_MW_ON_BUDGET"
NAMES: Final = (TREE, MODELS, AUTHENTICATE, ON_BUDGET)
"""All that the URLconf reads of Django's settings."""


class Gateways(NamedTuple):
    """The gateways of one process, one for each kind of server; neither opens anything before its first request."""

    blocking: Gateway
    asynchronous: AsyncGateway


@cache
def gateways() -> Gateways:
    """Return the gateways of this process, which are built by the first call.

    Raises:
        ConfigurationError: a setting cannot work, or is none of ours; names it.
    """
    for name in dir(settings):
        if name.startswith(TREE) and name not in NAMES:
            raise ConfigurationError(f"settings.{name}: is no setting of completions_mw; {suggestion(name, NAMES)}")
    functions = getattr(settings, MODELS, None) or {}
    if not isinstance(functions, Mapping):
        raise ConfigurationError(f"settings.{MODELS}: should be a mapping of names to functions")
    models = {name: _function(value, f"{MODELS}[{name!r}]") for name, value in functions.items()}
    authenticate, on_budget, ours = _hook(AUTHENTICATE), _hook(ON_BUDGET), tree()
    return Gateways(
        Gateway(ours, models=models, authenticate=_blocking(authenticate), on_budget=_blocking(on_budget)),
        AsyncGateway(ours, models=models, authenticate=_awaitable(authenticate), on_budget=_awaitable(on_budget)),
    )


def tree() -> Settings:
    """Return `settings.COMPLETIONS_MW`.

    Raises:
        ConfigurationError: it is not set, or does not work.
    """
    return settings_of(getattr(settings, TREE, None), f"settings.{TREE}")


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
    # Django's own mark, too, which inspect does not know before Python 3.12.
    return is_async(hook) or iscoroutinefunction(hook)


def _blocking(hook: Hook | None) -> Hook | None:
    """Let a hook that is async work under WSGI, on an event loop that lasts as long as its call."""
    return hook if hook is None or not _is_async(hook) else async_to_sync(hook)


def _awaitable(hook: Hook | None) -> Hook | None:
    """Let a hook that is not async use the database under ASGI, in the thread that Django keeps for that."""
    if hook is None or _is_async(hook):
        return hook
    call_in_thread: Callable[[Any], Awaitable[Any]] = sync_to_async(hook)

    async def call(argument: Any) -> Any:
        answer = await call_in_thread(argument)
        return await answer if isawaitable(answer) else answer

    return call
