"""Large whole answers are given in pieces: under WSGI where the server shows its connection, as gunicorn does (docs/deployment.md)."""

import json
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import flask
import pytest
from anyio.from_thread import BlockingPortal

from completions_mw import Gateway
from completions_mw.adapters.flask import Completions
from tests.adapters.given import HEADERS, settings
from tests.hosts.base import CHAT, Host, Project
from tests.hosts.every import HOSTS
from tests.support.exchange import Sent, Server
from tests.support.wsgi_driver import WSGIApp, WSGIServer

TEXT = "word " * 40_000
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": TEXT}]}).encode()
SETTINGS = settings(max_body_bytes=10**6)


@contextmanager
def showing_connection(app: WSGIApp) -> Iterator[WSGIServer]:
    """Call an app as a server does that shows the connection."""
    ours, theirs = socket.socketpair()

    def with_connection(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return app({**environ, "gunicorn.socket": ours}, start_response)

    with ours, theirs:
        yield WSGIServer(with_connection)


def ask(server: Server) -> tuple[Mapping[str, str], list[bytes]]:
    """Ask for a large answer; return the headers and the pieces."""
    with server.send(Sent("POST", CHAT, (*HEADERS, ("content-length", str(len(BODY)))), (BODY,))) as answer:
        return answer.headers, [piece for piece in answer if piece]


@pytest.mark.parametrize("make", HOSTS.values(), ids=HOSTS)
def test_it_comes_whole_and_with_its_length(make: Callable[[Project], AbstractContextManager[Host]], portal: BlockingPortal) -> None:
    with make(Project(SETTINGS, portal)) as host, ExitStack() as stack:
        server = host.server
        if isinstance(server, WSGIServer):
            server = stack.enter_context(showing_connection(server.app))
        headers, pieces = ask(server)
    assert len(pieces) > 1
    assert headers["content-length"] == str(len(b"".join(pieces)))
    assert json.loads(b"".join(pieces))["choices"][0]["message"]["content"] == TEXT


def test_a_function_of_flask_may_read_it() -> None:
    app = flask.Flask(__name__)
    read: list[str] = []

    @app.after_request
    def keep(response: flask.Response) -> flask.Response:
        read.append(response.get_json()["choices"][0]["message"]["content"])
        return response

    with Gateway(SETTINGS) as gateway, showing_connection(app) as server:
        Completions(app, gateway)
        _, pieces = ask(server)
    assert read == [json.loads(b"".join(pieces))["choices"][0]["message"]["content"]] == [TEXT]
