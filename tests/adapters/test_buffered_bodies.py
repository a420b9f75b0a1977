"""The bodies that a process receives take a bounded memory together (docs/promises.md, Bounds)."""

import asyncio
import io
import json
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal

from completions_mw import AsyncGateway, Settings
from completions_mw.adapters.asgi import CompletionsMiddleware
from completions_mw.adapters.wsgi_client import LARGE
from tests.hosts import django, flask, wsgi
from tests.hosts.base import CHAT, Project, bearer
from tests.hosts.every import HostMaker
from tests.support.exchange import Sent
from tests.support.wsgi_driver import WSGIApp, WSGIServer, environ_of

KEY = "sk-canary-client-key"
MOST = 1_000_000
PIECE = 100_000
PATIENCE = 20.0
TREE = {"models": {"m": {}}, "keys": {"a": {"secret": KEY}}, "max_buffered_bytes": MOST}
SETTINGS = Settings.from_mapping(TREE)
SCOPE: dict[str, Any] = {
    "type": "http",
    "http_version": "1.1",
    "method": "POST",
    "path": "/api/v1/chat/completions",
    "headers": [(b"authorization", f"Bearer {KEY}".encode()), (b"content-type", b"application/json")],
}


class Slow:
    """A client that sends a piece of its body, and the rest when it is told to."""

    def __init__(self, app: Any, first: bytes, rest: bytes) -> None:
        self._pieces = [first, rest]
        self.has_begun = asyncio.Event()
        self.go = asyncio.Event()
        self.sent: list[Any] = []
        self.task = asyncio.create_task(app(SCOPE.copy(), self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if not self._pieces:
            await asyncio.Event().wait()
        piece = self._pieces.pop(0)
        if not self._pieces:
            self.has_begun.set()
            await self.go.wait()
        return {"type": "http.request", "body": piece, "more_body": bool(self._pieces)}

    async def _send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def code(self) -> Any:
        return json.loads(self.sent[1]["body"])["error"]["code"]


@asynccontextmanager
async def app() -> AsyncIterator[CompletionsMiddleware]:
    async with AsyncGateway(SETTINGS, models={"m": lambda _: "hi"}) as gateway:
        yield CompletionsMiddleware(None, gateway)


def body(size: int) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * size}]}).encode()


def test_unfinished_bodies_are_bounded_together_and_their_room_comes_back() -> None:
    async def scenario() -> None:
        whole = body(PIECE)
        async with app() as asgi:
            waiting = [Slow(asgi, whole[:PIECE], whole[PIECE:]) for _ in range(MOST // PIECE)]
            await asyncio.gather(*(client.has_begun.wait() for client in waiting))
            late = Slow(asgi, whole[:PIECE], whole[PIECE:])
            late.go.set()
            await late.task
            assert (late.status, late.code) == (503, "overloaded")
            small = Slow(asgi, b"", body(PIECE // 100))
            small.go.set()
            await small.task
            assert small.status == 200
            waiting[0].task.cancel()
            await asyncio.wait([waiting[0].task])
            for client in waiting[1:]:
                client.go.set()
                await client.task
            again = Slow(asgi, whole[:PIECE], whole[PIECE:])
            again.go.set()
            await again.task
            assert [client.status for client in (*waiting[1:], again)] == [200] * (MOST // PIECE)

    asyncio.run(scenario())


class SlowInput:
    """The body of a client that sends a piece, and the rest when it is told to; a `wsgi.input`."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)
        self.has_begun = threading.Event()
        self.go = threading.Event()

    def read(self, size: int = -1) -> bytes:
        if self._content.tell() < PIECE - LARGE:
            return self._content.read(min(size, LARGE))
        self.has_begun.set()
        assert self.go.wait(PATIENCE)
        return self._content.read(size)

    def readline(self, size: int = -1) -> bytes:
        raise AssertionError("nobody reads lines")


def ask(app: WSGIApp, slow: SlowInput, size: int) -> tuple[int, bytes]:
    headers = (*bearer(KEY), ("content-type", "application/json"), ("content-length", str(size)))
    environ = environ_of(Sent("POST", CHAT, headers), io.BytesIO())
    started: list[int] = []
    pieces = app({**environ, "wsgi.input": slow}, lambda status, headers: started.append(int(status[:3])))
    content = b"".join(pieces)
    getattr(pieces, "close", lambda: None)()
    return started[0], content


@pytest.mark.parametrize("make", [wsgi.host, flask.host, django.wsgi_host], ids=["wsgi", "flask", "django"])
def test_threads_take_their_room_as_they_read(make: HostMaker, portal: BlockingPortal) -> None:
    content = body(PIECE)
    project = Project(SETTINGS, portal, models={"m": lambda _: "hi"})
    with make(project) as host, ThreadPoolExecutor(MOST // PIECE) as threads:
        assert isinstance(host.server, WSGIServer)
        app = host.server.app
        waiting = [SlowInput(content) for _ in range(MOST // PIECE)]
        answers = [threads.submit(ask, app, slow, len(content)) for slow in waiting]
        for slow in waiting:
            assert slow.has_begun.wait(PATIENCE)
        late = SlowInput(content * 6)
        late.go.set()
        status, refusal = ask(app, late, 6 * len(content))
        assert (status, json.loads(refusal)["error"]["code"]) == (503, "overloaded")
        for slow in waiting:
            slow.go.set()
        again = SlowInput(content)
        again.go.set()
        assert [answer.result()[0] for answer in answers] == [200] * len(waiting)
        assert ask(app, again, len(content))[0] == 200
