"""The URLconf: `path("", include("completions_mw.adapters.django.urls"))`.

Importing it builds the gateways of the process, so that wrong settings are found at start-up. Views that call a model themselves use
`urls.gateway`, or `urls.async_gateway` if they are async:

    from completions_mw.adapters.django import urls

    answer = urls.gateway.complete(model="gpt-3.5-turbo", messages=[...])

When a test changes Django's settings with `override_settings`, paths and gateways are rebuilt; a gateway imported by name is not replaced.
"""

import re
from typing import Any

from completions_mw.adapters.django.gateways import SETTINGS, gateways, project_settings
from completions_mw.adapters.django.views import answer, refuse
from completions_mw.adapters.support import needs
from completions_mw.core.routes import Routes
from completions_mw.gateway import AsyncGateway, Gateway

with needs("django"):
    from django.conf import settings
    from django.core.signals import setting_changed
    from django.db import connections, transaction
    from django.urls import URLPattern, clear_url_caches, path, re_path

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
        path(routes.chat[1:], answer, {"path": routes.chat}, name="chat"),
        path(routes.embeddings[1:], answer, {"path": routes.embeddings}, name="embeddings"),
        path(routes.models[1:], answer, {"path": routes.models}, name="models"),
        # Not by the converter `path`, which knows no line feeds.
        re_path(rf"^{re.escape(routes.models[1:])}/(?P<model>[\s\S]+)\Z", answer, {"path": f"{routes.models}/"}, name="model"),
        *(path(absent[1:], refuse, {"path": absent}) for absent in sorted(routes.absent)),
    ]


def _rebuild(*, setting: str, **_: object) -> None:
    """Rebuild paths and gateways after a test has changed their settings: a receiver of `setting_changed`."""
    if not setting.startswith(SETTINGS):
        return
    if gateways.cache_info().currsize:
        gateways().blocking.close()
    gateways.cache_clear()
    # After a test that was the only one to set it, the setting is missing.
    if setting == SETTINGS and getattr(settings, SETTINGS, None) is not None:
        urlpatterns[:] = _patterns(project_settings().prefix)
        clear_url_caches()


for _alias in connections:
    # No transaction may stay open while a model answers.
    transaction.non_atomic_requests(using=_alias)(answer)
    transaction.non_atomic_requests(using=_alias)(refuse)

urlpatterns = _patterns(gateways().blocking.settings.prefix)
setting_changed.connect(_rebuild)
