"""All hosts by name: what a test runs in that is written once."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

import pytest

from tests.hosts import asgi, django, fastapi, flask, starlette, wsgi
from tests.hosts.base import Host, Project

HostMaker = Callable[[Project], AbstractContextManager[Host]]

BLOCKING_HOSTS: Final[dict[str, HostMaker]] = {"wsgi": wsgi.host, "flask": flask.host, "django-wsgi": django.wsgi_host}
ASYNC_HOSTS: Final[dict[str, HostMaker]] = {
    "django-asgi": django.asgi_host,
    "asgi": asgi.host,
    "starlette": starlette.host,
    "fastapi": fastapi.host,
}
HOSTS: Final = BLOCKING_HOSTS | ASYNC_HOSTS

only_async = pytest.mark.parametrize("host", ASYNC_HOSTS.values(), ids=ASYNC_HOSTS, indirect=True, scope="session")
"""For what a blocking host cannot see by itself."""
