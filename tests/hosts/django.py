"""A Django project with the URLs, under WSGI and under ASGI. Django is configured once a process, so all tests share one project."""

import importlib
from collections.abc import Mapping
from typing import Any, Final

from django.conf import settings

from tests.hosts.base import Gateways, Host
from tests.support.asgi_driver import ASGIServer
from tests.support.wsgi_driver import WSGIServer

MIDDLEWARE: Final = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "tests.hosts.django_project.UserMiddleware",
]


def configure() -> None:
    """Set the project up; nothing happens the second time."""
    if settings.configured:
        return
    settings.configure(
        SECRET_KEY="for-tests-only",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF="tests.hosts.django_project",
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
        MIDDLEWARE=[*MIDDLEWARE, *LOGIN_REQUIRED],
        LOGIN_URL="/login/",
        LOGGING_CONFIG=None,
    )
    import django

    django.setup()
