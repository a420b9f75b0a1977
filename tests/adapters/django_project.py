"""A Django project with further settings, under both of its servers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest

from completions_mw import Request
from tests.adapters.given import settings
from tests.hosts import django
from tests.hosts.base import PREFIX, Host, Project
from tests.support.asgi_driver import ASGIServer
from tests.support.wsgi_driver import WSGIServer

HOSTS = {"wsgi": False, "asgi": True}
every_server = pytest.mark.parametrize("is_async", HOSTS.values(), ids=HOSTS)


@contextmanager
def host(portal: BlockingPortal, is_async: bool, project: Project | None = None, *, below: str = "", **more: Any) -> Iterator[Host]:
    """Run a project with further settings under one of the servers."""
    with django.configured(project or Project(settings(), portal), below=below, **more) as urls:
        server = ASGIServer(get_asgi_application(), portal) if is_async else WSGIServer(get_wsgi_application())
        yield Host(server, prefix=f"/{below}{PREFIX.removeprefix('/')}")
        urls.gateway.close()
        portal.call(urls.async_gateway.close)


def user_of(request: Request) -> str | None:
    """Be the login: whom Django's middleware has found."""
    assert isinstance(request.native, HttpRequest)
    name: str | None = request.native.user.get_username() or None
    return name
