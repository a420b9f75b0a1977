"""A Django project with the URLs, under WSGI and under ASGI."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.test.utils import override_settings
from django.urls import include, path

from tests.hosts.base import Host, Project
from tests.support.asgi_driver import ASGIServer
from tests.support.wsgi_driver import WSGIServer

URLS: Final = "completions_mw.adapters.django.urls"
MIDDLEWARE: Final = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "tests.hosts.django_pages.UserMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
]


@contextmanager
def wsgi_host(project: Project) -> Iterator[Host]:
    """Run the project under WSGI for the time of a `with` block."""
    with configured(project) as urls:
        yield Host(WSGIServer(get_wsgi_application()), write_rows=urls.gateway.usage)
        urls.gateway.close()


@contextmanager
def asgi_host(project: Project) -> Iterator[Host]:
    """Run the project under ASGI for the time of a `with` block."""
    with configured(project) as urls:
        server = ASGIServer(get_asgi_application(), project.portal)
        yield Host(server, reads_ahead=True, write_rows=project.rows_of(urls.async_gateway))
        project.portal.call(urls.async_gateway.close)


def set_up() -> None:
    """Configure Django, which a process does once, for every test of this process."""
    if not settings.configured:
        settings.configure(INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"], LOGGING_CONFIG=None)
        django.setup()


@contextmanager
def configured(project: Project, *, below: str = "", **more: Any) -> Iterator[Any]:
    """Give the module of our URLs as a process sees it whose project says this.

    Args:
        project: what its settings say of the gateway.
        below: where the URLs are included.
        **more: further settings.
    """
    set_up()
    ours = {
        "COMPLETIONS_MW": project.settings,
        "COMPLETIONS_MW_MODELS": project.models,
        "COMPLETIONS_MW_AUTHENTICATE": project.authenticate,
        "COMPLETIONS_MW_ON_BUDGET": project.on_budget,
    }
    root = ModuleType("project.urls")
    with override_settings(ALLOWED_HOSTS=["*"], LOGIN_URL="/login/", ROOT_URLCONF=root, **{"MIDDLEWARE": MIDDLEWARE, **ours, **more}):
        # The URLs read the settings when they are imported: once a process, as everything of Django.
        sys.modules.pop(URLS, None)
        root.urlpatterns = [path("", include("tests.hosts.django_pages")), path(below, include(URLS))]  # type: ignore[attr-defined]
        yield sys.modules[URLS]
