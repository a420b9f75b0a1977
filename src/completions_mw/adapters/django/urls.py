"""The URLconf.

It makes the gateways of this process when it is imported, one for each kind of server; neither opens anything before its first request.
Django code that wants to ask a model itself imports `gateway` or `async_gateway` from here.
"""

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any

from completions_mw.adapters.django.views import View
from completions_mw.adapters.support import needs, settings_of
from completions_mw.core.routes import Routes
from completions_mw.gateway import AsyncGateway, Gateway

with needs("django"):
    from asgiref.sync import iscoroutinefunction, sync_to_async
    from django.conf import settings
    from django.db import connections, transaction
    from django.urls import path
    from django.utils.module_loading import import_string

Hook = Callable[[Any], Any]

app_name = "completions_mw"


def _imported(value: Any) -> Any:
    return import_string(value) if isinstance(value, str) else value


def _awaitable(hook: Hook | None) -> Hook | None:
    """Let a hook that is not async use the database under ASGI, too, in the thread that Django keeps for that."""
    if hook is None or iscoroutinefunction(hook):
        return hook
    call_in_thread: Callable[[Any], Awaitable[Any]] = sync_to_async(hook)

    async def call(argument: Any) -> Any:
        answer = await call_in_thread(argument)
        return await answer if isawaitable(answer) else answer

    return call


_tree = settings_of(getattr(settings, "COMPLETIONS_MW", None), "settings.COMPLETIONS_MW")
_models = {name: _imported(function) for name, function in getattr(settings, "COMPLETIONS_MW_MODELS", {}).items()}
_authenticate = _imported(getattr(settings, "COMPLETIONS_MW_AUTHENTICATE", None))

_on_budget = _imported(getattr(settings, "COMPLETIONS_MW_ON_BUDGET", None))

gateway = Gateway(_tree, models=_models, authenticate=_authenticate, on_budget=_on_budget)
async_gateway = AsyncGateway(_tree, models=_models, authenticate=_awaitable(_authenticate), on_budget=_awaitable(_on_budget))

_view = View(gateway, async_gateway)
for _alias in connections:
    # A transaction must not wait for a model.
    transaction.non_atomic_requests(using=_alias)(_view)

_routes = Routes(_tree.prefix)
urlpatterns = [
    path(_routes.chat[1:], _view, {"path": _routes.chat}, name="chat"),
    path(_routes.models[1:], _view, {"path": _routes.models}, name="models"),
    path(f"{_routes.models[1:]}/<path:model>", _view, {"path": f"{_routes.models}/"}, name="model"),
]
