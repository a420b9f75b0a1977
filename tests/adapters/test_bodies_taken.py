"""Bodies that do not arrive: a hook of the app takes them, or the server does not unpack them (docs/promises.md, Hosts and servers)."""

from typing import Any

import flask
import pytest
from anyio.from_thread import BlockingPortal
from fastapi import Depends, FastAPI, Request
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware

from completions_mw import AsyncGateway, Gateway
from completions_mw.adapters import fastapi, starlette, wsgi
from completions_mw.adapters.flask import Completions
from tests.adapters.given import CHAT_BODY, HEADERS, settings
from tests.hosts.base import CHAT, Host, Project
from tests.hosts.django import MIDDLEWARE, configured
from tests.hosts.every import BLOCKING_HOSTS, HostMaker
from tests.support.asgi_driver import ASGIServer
from tests.support.wsgi_driver import WSGIServer

MESSAGE = "The body of the request did not arrive. Something in the app has read it before."


def check(host: Host) -> None:
    response = host.request("POST", CHAT, HEADERS, CHAT_BODY)
    assert (response.status, response.error["code"], response.error["message"]) == (400, "missing_body", MESSAGE)


def unable(app: Any) -> Any:
    """Be a server that leaves chunks packed and says nothing of them."""

    def call(environ: Any, start_response: Any) -> Any:
        del environ["wsgi.input_terminated"]
        return app({**environ, "HTTP_TRANSFER_ENCODING": "chunked"}, start_response)

    return call


@pytest.mark.parametrize("host", BLOCKING_HOSTS.values(), ids=BLOCKING_HOSTS)
def test_chunks_need_a_server_that_unpacks_them(portal: BlockingPortal, host: HostMaker) -> None:
    with host(Project(settings(), portal)) as plain:
        assert isinstance(plain.server, WSGIServer)
        response = Host(WSGIServer(unable(plain.server.app))).request("POST", CHAT, HEADERS, [CHAT_BODY])
    assert (response.status, response.error["code"]) == (411, "length_required")


async def take(request: Any, call_next: Any = None) -> Any:
    async for _ in request.stream():
        pass
    return call_next and await call_next(request)


async def depend(request: Request) -> None:
    await take(request)


@pytest.mark.parametrize("terminated", [False, True], ids=["length", "terminated"])
def test_wsgi(terminated: bool) -> None:
    app = wsgi.CompletionsMiddleware(None, Gateway(settings()))

    def taking(environ: Any, start_response: Any) -> Any:
        environ["wsgi.input"].read(len(CHAT_BODY))
        return app({**environ, **({"wsgi.input_terminated": True} if terminated else {})}, start_response)

    check(Host(WSGIServer(taking)))


def test_flask() -> None:
    app = flask.Flask(__name__)
    Completions(app, Gateway(settings()))
    app.before_request(lambda: flask.request.stream.read() and None)
    check(Host(WSGIServer(app)))


def test_starlette(portal: BlockingPortal) -> None:
    taking = Middleware(BaseHTTPMiddleware, dispatch=take)
    check(Host(ASGIServer(Starlette(routes=starlette.routes(AsyncGateway(settings())), middleware=[taking]), portal)))


def test_fastapi(portal: BlockingPortal) -> None:
    app = FastAPI(dependencies=[Depends(depend)])
    app.include_router(fastapi.router(AsyncGateway(settings())))
    check(Host(ASGIServer(app, portal)))


def take_in_django(get_response: Any) -> Any:
    return lambda request: request.read() and get_response(request)


def test_django(portal: BlockingPortal) -> None:
    from django.core.wsgi import get_wsgi_application

    with configured(Project(settings(), portal), MIDDLEWARE=[f"{__name__}.take_in_django", *MIDDLEWARE]):
        check(Host(WSGIServer(get_wsgi_application())))
