"""Large whole answers, which are given in pieces where the server shows its connection, as gunicorn does (docs/deployment.md)."""

import json
import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import flask
import pytest
from anyio.from_thread import BlockingPortal

from completions_mw import Gateway
from completions_mw.adapters.flask import Completions
from tests.adapters.given import HEADERS, settings
from tests.hosts.base import CHAT, Host, Project
from tests.hosts.every import BLOCKING_HOSTS
from tests.support.exchange import Sent
from tests.support.wsgi_driver import WSGIApp, WSGIServer

TEXT = "word " * 40_000
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": TEXT}]}).encode()
SETTINGS = settings(max_body_bytes=10**6)


def ask(app: WSGIApp) -> tuple[Mapping[str, str], list[bytes]]:
    """Ask for a large answer as a server does that shows the connection; return the headers and the pieces."""
    ours, theirs = socket.socketpair()

    def with_connection(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return app({**environ, "gunicorn.socket": ours}, start_response)

    asked = Sent("POST", CHAT, (*HEADERS, ("content-length", str(len(BODY)))), (BODY,))
    with ours, theirs, WSGIServer(with_connection).send(asked) as answer:
        pieces = [piece for piece in answer if piece]
        return answer.headers, pieces


@pytest.mark.parametrize("make", BLOCKING_HOSTS.values(), ids=BLOCKING_HOSTS)
def test_it_comes_whole_and_with_its_length(make: Callable[[Project], AbstractContextManager[Host]], portal: BlockingPortal) -> None:
    with make(Project(SETTINGS, portal)) as host:
        assert isinstance(host.server, WSGIServer)
        headers, pieces = ask(host.server.app)
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

    with Gateway(SETTINGS) as gateway:
        Completions(app, gateway)
        _, pieces = ask(app)
    assert read == [json.loads(b"".join(pieces))["choices"][0]["message"]["content"]] == [TEXT]
