"""The URLconf: `path("", include("completions_mw.adapters.django.urls"))`.

Its import builds the gateways of the process, so that wrong settings are told at once. Django code that wants to ask a model itself uses
`urls.gateway`, or `urls.async_gateway` in async views:

    from completions_mw.adapters.django import urls

    answer = urls.gateway.complete(model="gpt-3.5-turbo", messages=[...])

Where a test changes Django's settings (`override_settings`), paths and gateways follow; a gateway that was imported by its name does not.
"""

from typing import Any

from completions_mw.adapters.django.gateways import TREE, gateways, tree
from completions_mw.adapters.django.views import View
from completions_mw.adapters.support import needs
from completions_mw.core.routes import Routes
from completions_mw.gateway import AsyncGateway, Gateway

with needs("django"):
    from django.conf import settings
    from django.core.signals import setting_changed
    from django.db import connections, transaction
    from django.urls import URLPattern, clear_url_caches, path

app_name = "completions_mw"
gateway: Gateway
async_gateway: AsyncGateway


def __getattr__(name: str) -> Any:
    if name in ("gateway", "async_gateway"):
        return gateways().blocking if name == "gateway" else gateways().asynchronous
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _patterns(prefix: str) -> list[URLPattern]:
    routes = Routes(prefix)
    return [
        path(routes.chat[1:], _view, {"path": routes.chat}, name="chat"),
        path(routes.models[1:], _view, {"path": routes.models}, name="models"),
        path(f"{routes.models[1:]}/<path:model>", _view, {"path": f"{routes.models}/"}, name="model"),
    ]


def _follow(*, setting: str, **_: object) -> None:
    """Forget what was built from a setting that a test has changed."""
    if not setting.startswith(TREE):
        return
    if gateways.cache_info().currsize:
        gateways().blocking.close()
    gateways.cache_clear()
    # Not there any more after a test that alone has set it.
    if setting == TREE and getattr(settings, TREE, None) is not None:
        urlpatterns[:] = _patterns(tree().prefix)
        clear_url_caches()


_view = View(gateways)
for _alias in connections:
    # A transaction must not wait for a model.
    transaction.non_atomic_requests(using=_alias)(_view)

urlpatterns = _patterns(gateways().blocking.settings.prefix)
setting_changed.connect(_follow)
