"""What the gateway learns from its host: whether it is debugged, and whether it runs in several processes."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import fastapi
import flask
import pytest
from anyio.from_thread import BlockingPortal
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from starlette.applications import Starlette

from completions_mw import AsyncGateway, Gateway, Request
from completions_mw.adapters import asgi, wsgi
from completions_mw.adapters.fastapi import router
from completions_mw.adapters.flask import Completions
from completions_mw.adapters.starlette import routes
from tests.adapters.given import CHAT_BODY, USER_HEADERS, settings
from tests.hosts import django
from tests.hosts.base import CHAT, Host, Project
from tests.support.asgi_driver import ASGIServer
from tests.support.logs import line
from tests.support.wsgi_driver import WSGIServer


class Login:
    """A login that keeps the requests it is asked about."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def __call__(self, request: Request) -> str:
        self.requests.append(request)
        return "ada"


LIMITED = settings(callers={"limits": {"requests": "60/minute"}})
Mount = Callable[[Login, bool, BlockingPortal], AbstractContextManager[Any]]


@contextmanager
def flask_app(login: Login, debug: bool, portal: BlockingPortal) -> Iterator[Any]:
    app = flask.Flask(__name__)
    app.debug = debug
    Completions(app, Gateway(LIMITED, authenticate=login))
    yield app


@contextmanager
def wsgi_app(login: Login, debug: bool, portal: BlockingPortal) -> Iterator[Any]:
    yield wsgi.CompletionsMiddleware(None, Gateway(LIMITED, authenticate=login))


@contextmanager
def django_wsgi(login: Login, debug: bool, portal: BlockingPortal) -> Iterator[Any]:
    with django.configured(Project(LIMITED, portal, authenticate=login), DEBUG=debug):
        yield get_wsgi_application()


@contextmanager
def django_asgi(login: Login, debug: bool, portal: BlockingPortal) -> Iterator[Any]:
    with django.configured(Project(LIMITED, portal, authenticate=login), DEBUG=debug):
        yield get_asgi_application()


@contextmanager
def starlette_app(login: Login, debug: bool, portal: BlockingPortal) -> Iterator[Any]:
    yield Starlette(debug=debug, routes=routes(AsyncGateway(LIMITED, authenticate=login)))


@contextmanager
def fastapi_app(login: Login, debug: bool, portal: BlockingPortal) -> Iterator[Any]:
    app = fastapi.FastAPI(debug=debug)
    app.include_router(router(AsyncGateway(LIMITED, authenticate=login)))
    yield app


@contextmanager
def asgi_app(login: Login, debug: bool, portal: BlockingPortal) -> Iterator[Any]:
    yield asgi.CompletionsMiddleware(None, AsyncGateway(LIMITED, authenticate=login))


FOR_WSGI: dict[str, Mount] = {"wsgi": wsgi_app, "flask": flask_app, "django": django_wsgi}
FOR_ASGI: dict[str, Mount] = {"asgi": asgi_app, "starlette": starlette_app, "fastapi": fastapi_app, "django": django_asgi}
PLAIN = {wsgi_app, asgi_app}


@pytest.mark.parametrize("debug", [True, False], ids=["debug", "no-debug"])
@pytest.mark.parametrize("mount", FOR_WSGI.values(), ids=FOR_WSGI)
def test_a_wsgi_host_says_whether_it_is_debugged(portal: BlockingPortal, mount: Mount, debug: bool) -> None:
    login = Login()
    with mount(login, debug, portal) as app:
        Host(WSGIServer(app)).request("POST", CHAT, USER_HEADERS, CHAT_BODY)
    assert [request.debug for request in login.requests] == [debug and mount not in PLAIN]


@pytest.mark.parametrize("debug", [True, False], ids=["debug", "no-debug"])
@pytest.mark.parametrize("mount", FOR_ASGI.values(), ids=FOR_ASGI)
def test_an_asgi_host_says_whether_it_is_debugged(portal: BlockingPortal, mount: Mount, debug: bool) -> None:
    login = Login()
    with mount(login, debug, portal) as app:
        Host(ASGIServer(app, portal)).request("POST", CHAT, USER_HEADERS, CHAT_BODY)
    assert [request.debug for request in login.requests] == [debug and mount not in PLAIN]


@pytest.mark.parametrize("several", [True, False], ids=["several", "one"])
@pytest.mark.parametrize("mount", FOR_WSGI.values(), ids=FOR_WSGI)
def test_limits_in_memory_are_told_of_where_a_server_has_several_processes(
    portal: BlockingPortal, caplog: pytest.LogCaptureFixture, mount: Mount, several: bool
) -> None:
    with mount(Login(), False, portal) as app:
        server = WSGIServer(lambda environ, start: app({**environ, "wsgi.multiprocess": several}, start))
        for _ in range(2):
            Host(server).request("POST", CHAT, USER_HEADERS, CHAT_BODY)
    told = [line(record) for record in caplog.records if record.name == "completions_mw"]
    assert told == [{"event": "limits_not_shared", "admission": "memory://"}] * several
