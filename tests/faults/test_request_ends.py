"""Every task and timer of a request ends with its answer, whatever the middleware of the host does to `receive` (docs/promises.md)."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response

from completions_mw import AsyncGateway
from completions_mw.adapters import asgi, fastapi, starlette
from tests.faults.conftest import request, settings_for
from tests.support.asgi_driver import scope_of
from tests.support.exchange import Sent
from tests.support.upstream import MockUpstream

PATH = "/api/v1/chat/completions"
MANY = 100
"""As often as this a message is asked for only by what never stops asking."""


class CountingLoop(asyncio.SelectorEventLoop):
    """An event loop that knows which of its timers are still to run."""

    def __init__(self) -> None:
        super().__init__()
        self._handles: list[asyncio.TimerHandle] = []

    def call_at(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        handle = super().call_at(*args, **kwargs)
        self._handles.append(handle)
        return handle

    def timers(self) -> int:
        return sum(not handle.cancelled() and handle.when() > self.time() for handle in self._handles)


class Client:
    """A client, as its server shows it to an app: it sends one body, takes every message and stays until `left` is set."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.asked = 0
        self.watched = asyncio.Event()
        """Set once the app asks for a message after the body."""
        self.left = asyncio.Event()
        self.messages: list[Any] = []

    async def receive(self) -> dict[str, Any]:
        self._count()
        if self.asked == 1:
            return self._whole()
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def replay(self) -> dict[str, Any]:
        """Give the body at every call, as middleware does that has read it."""
        self._count()
        return self._whole()

    async def fail(self) -> dict[str, Any]:
        """Fail when the app asks no more, as BaseHTTPMiddleware may where middleware below it replays the body."""
        try:
            return await self.receive()
        except asyncio.CancelledError:
            raise RuntimeError("Unexpected message received: http.request") from None

    async def send(self, message: Any) -> None:
        self.messages.append(message)

    def _count(self) -> None:
        self.asked += 1
        if self.asked > 1:
            self.watched.set()
        assert self.asked < MANY, "the app asks for messages for ever"

    def _whole(self) -> dict[str, Any]:
        return {"type": "http.request", "body": self.body, "more_body": False}


async def replay_body(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Log the body of a request, as in many answers to the question how to do so."""
    body = await request.body()
    client: Client = request.scope["test_client"]

    async def receive() -> Any:
        client._count()
        return {"type": "http.request", "body": body}

    request._receive = receive
    return await call_next(request)


async def pass_on(request: Request, call_next: RequestResponseEndpoint) -> Response:
    return await call_next(request)


Host = Callable[[AsyncGateway], asgi.ASGIApp]


def plain(gateway: AsyncGateway) -> asgi.ASGIApp:
    return asgi.CompletionsMiddleware(None, gateway)


def replaying(gateway: AsyncGateway) -> asgi.ASGIApp:
    app = plain(gateway)
    return lambda scope, receive, send: app(scope, scope["test_client"].replay, send)


def failing(gateway: AsyncGateway) -> asgi.ASGIApp:
    app = plain(gateway)
    return lambda scope, receive, send: app(scope, scope["test_client"].fail, send)


def below_base_middleware(gateway: AsyncGateway) -> asgi.ASGIApp:
    return Starlette(routes=starlette.routes(gateway), middleware=[Middleware(BaseHTTPMiddleware, dispatch=replay_body)])


def below_any_middleware(gateway: AsyncGateway) -> asgi.ASGIApp:
    return Starlette(routes=starlette.routes(gateway), middleware=[Middleware(BaseHTTPMiddleware, dispatch=pass_on)])


def fastapi_middleware(gateway: AsyncGateway) -> asgi.ASGIApp:
    app = FastAPI()
    app.middleware("http")(replay_body)
    app.include_router(fastapi.router(gateway))
    return app


every_host = pytest.mark.parametrize("host", [plain, below_any_middleware, replaying, failing, below_base_middleware, fastapi_middleware])


async def ask(app: asgi.ASGIApp, upstream: MockUpstream, model: str, *, leave: bool = False, **fields: Any) -> Client:
    """Send one request; the answer ends, or the client leaves, once the app has begun to watch its client."""
    asked = request(model, **fields)
    assert isinstance(asked.body, bytes)
    sent = Sent("POST", PATH, (*asked.headers, ("content-length", str(len(asked.body)))), (asked.body,))
    client = Client(asked.body)
    task = asyncio.ensure_future(app({**scope_of(sent), "test_client": client}, client.receive, client.send))
    waiting = asyncio.ensure_future(client.watched.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    client.left.set() if leave else upstream.release()
    await task
    waiting.cancel()
    await asyncio.wait([waiting])
    return client


@every_host
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_body_that_is_replayed_for_ever(upstream: MockUpstream, host: Host, stream: bool) -> None:
    """See docs/promises.md, Hosts and servers."""

    async def run() -> Client:
        async with AsyncGateway(settings_for(upstream)) as gateway:
            return await ask(host(gateway), upstream, "stall", stream=stream)

    client = asyncio.run(run())
    assert client.messages[0]["status"] == 200
    assert not client.messages[-1].get("more_body", False)
    assert client.asked <= 4


@pytest.mark.parametrize("host", [plain, below_any_middleware])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_client_that_left_before_its_answer_has_an_empty_one(upstream: MockUpstream, host: Host, stream: bool) -> None:
    """Starlette's BaseHTTPMiddleware raises where an app below it ends without an answer (docs/promises.md, Clients that leave)."""

    async def run() -> Client:
        async with AsyncGateway(settings_for(upstream)) as gateway:
            return await ask(host(gateway), upstream, "ttfb", leave=True, stream=stream)

    start, *rest = asyncio.run(run()).messages
    assert start["status"] == 499
    assert b"".join(message["body"] for message in rest) == b""


@every_host
def test_nothing_of_a_request_outlives_its_answer(upstream: MockUpstream, host: Host, caplog: pytest.LogCaptureFixture) -> None:
    """See docs/promises.md, Hosts and servers."""

    async def all_ends(app: asgi.ASGIApp) -> None:
        for stream in (False, True):
            for model in ("ok", "stall", "status-500", "missing"):
                await ask(app, upstream, model, stream=stream)
                upstream.reset()
            for model in ("ttfb", "stall"):
                if host in (plain, below_any_middleware):
                    await ask(app, upstream, model, stream=stream, leave=True)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, CountingLoop)
        async with AsyncGateway(settings_for(upstream)) as gateway:
            app = host(gateway)
            await all_ends(app)
            timers = loop.timers()
            for _ in range(3):
                await all_ends(app)
                assert asyncio.all_tasks() == {asyncio.current_task()}
            assert {record.name for record in caplog.records} == {"completions_mw"}
            # A kept connection has a timer too, and there may be one more than after the first round.
            assert loop.timers() <= timers + 1

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        runner.run(run())
