"""The middleware for plain WSGI and ASGI apps: standing alone, and at the end of the app's life."""

import io
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal

from completions_mw import AsyncGateway, Gateway
from completions_mw.adapters import asgi, wsgi
from completions_mw.core.validation.body_room import BodyRoom
from tests.adapters.given import CHAT_BODY, HEADERS, settings, upstream_settings
from tests.hosts.base import CHAT, Host
from tests.support.asgi_driver import ASGIServer
from tests.support.asgi_lifespan import lifespan_of
from tests.support.exchange import Sent
from tests.support.upstream import MockUpstream
from tests.support.wsgi_driver import WSGIServer, environ_of

PATHS = {
    "no-mount": ("/api", "", "/api"),
    "mount": ("/x/api", "/x", "/api"),
    "server-that-leaves-the-mount-out": ("/api", "/x", "/api"),
    "beginning-of-a-name": ("/xapi", "/x", "/xapi"),
    "mount-itself": ("/x", "/x", "/x"),
}


@pytest.mark.parametrize(("path", "root", "below"), PATHS.values(), ids=PATHS)
def test_an_asgi_path_is_taken_below_its_mount(path: str, root: str, below: str) -> None:
    assert asgi.path_of({"path": path, "root_path": root}) == below


@pytest.mark.parametrize("copies", [{"HTTP_CONTENT_LENGTH": "5", "HTTP_CONTENT_TYPE": "text/plain"}, {"HTTP_CONTENT_LENGTH": ""}])
def test_copies_of_the_length_and_the_type_are_no_headers(copies: dict[str, str]) -> None:
    environ = environ_of(Sent("POST", CHAT, (*HEADERS, ("content-length", "7"))), io.BytesIO())
    assert sorted(wsgi.to_request({**environ, **copies}, BodyRoom(0)).headers) == sorted((*HEADERS, ("content-length", "7")))


def check_alone(host: Host) -> None:
    assert host.request("POST", CHAT, HEADERS, CHAT_BODY).status == 200
    elsewhere = host.request("POST", "/elsewhere", HEADERS, CHAT_BODY)
    assert (elsewhere.status, elsewhere.error["message"]) == (404, "Invalid URL (POST /elsewhere)")
    assert host.request("OPTIONS", CHAT).headers["allow"] == "POST"


def test_a_wsgi_gateway_may_stand_alone() -> None:
    with Gateway(settings()) as gateway:
        check_alone(Host(WSGIServer(wsgi.CompletionsMiddleware(None, gateway))))


def test_an_asgi_gateway_may_stand_alone(portal: BlockingPortal) -> None:
    app = asgi.CompletionsMiddleware(None, AsyncGateway(settings()))
    with lifespan_of(app, portal):
        check_alone(Host(ASGIServer(app, portal)))


@pytest.mark.parametrize(("version", "connection"), [("1.1", "close"), ("2", None), ("3", None)])
def test_only_http_1_closes_a_connection_by_a_header(portal: BlockingPortal, version: str, connection: str | None) -> None:
    """HTTP/2 and later forbid the header (RFC 9113 section 8.2.2)."""
    app = asgi.CompletionsMiddleware(None, AsyncGateway(settings()))

    async def with_version(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "http_version": version}, receive, send)

    headers = (*HEADERS, ("content-length", "five"))
    response = Host(ASGIServer(with_version, portal)).request("POST", CHAT, headers, CHAT_BODY)
    assert (response.status, response.headers.get("connection")) == (400, connection)


def test_the_end_of_the_app_closes_the_gateway(portal: BlockingPortal, upstream: MockUpstream) -> None:
    said: list[str] = []

    async def own(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(2):
            message = await receive()
            said.append(message["type"])
            await send({"type": f"{message['type']}.complete"})

    app = asgi.CompletionsMiddleware(own, AsyncGateway(upstream_settings(upstream.url)))
    upstream.release()
    with lifespan_of(app, portal):
        assert Host(ASGIServer(app, portal)).request("POST", CHAT, HEADERS, CHAT_BODY).status == 200
        assert upstream.active_connections == 1
    upstream.wait_for(lambda: upstream.active_connections == 0)
    assert said == ["lifespan.startup", "lifespan.shutdown"]
