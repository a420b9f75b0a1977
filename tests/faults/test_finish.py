"""`abandoned = "finish"`: answers are read to their end without their clients, and settled by the real usage (docs/promises.md, Money)."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from django.core.asgi import get_asgi_application
from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response

from completions_mw import AsyncGateway, Gateway, Settings
from completions_mw.adapters.asgi import ASGIApp, CompletionsMiddleware
from completions_mw.adapters.starlette import routes
from completions_mw.adapters.wsgi_client import ClientSocket
from completions_mw.core.ports import UsageRow
from completions_mw.core.streaming.body import StreamBody
from completions_mw.core.streaming.finishing import Finishing, PatientConnection
from completions_mw.http import Request
from tests.faults.conftest import HEADERS, KEY, request, settings_for
from tests.hosts.base import Project
from tests.hosts.django import configured
from tests.support.asgi_driver import scope_of
from tests.support.exchange import Sent
from tests.support.fake_clock import FakeClock
from tests.support.upstream import MockUpstream

REAL = (3, 3, 0)
"""Tokens of the prompt and of the answer, as the upstream reports them, and no estimate."""


def settings(upstream: MockUpstream) -> Settings:
    keys = {"client": {"secret": KEY, "budget": {"usd": "100", "period": "total"}}}
    models = {name: {"targets": [f"up/{name}"], "prices": {"input": "1", "output": "1"}} for name in ("stall-2", "ttfb")}
    return settings_for(upstream, {}, keys=keys, models=models, stores={"ledger": "memory://"}, abandoned="finish")


def of(rows: list[UsageRow]) -> tuple[int, int, int]:
    [row] = rows
    return row.prompt_tokens, row.completion_tokens, row.estimated


def test_a_stream_on_a_loop(upstream: MockUpstream) -> None:
    async def main() -> list[UsageRow]:
        async with AsyncGateway(settings(upstream)) as gateway:
            response = await gateway.handle(request("stall-2", stream=True))
            assert isinstance(response.body, StreamBody)
            await response.body.__anext__()
            upstream.release()
            await response.body.aclose()
            return await gateway.usage()

    assert of(asyncio.run(main())) == REAL


def test_a_stream_in_a_thread(upstream: MockUpstream) -> None:
    with Gateway(settings(upstream)) as gateway:
        response = gateway.handle(request("stall-2", stream=True))
        assert not isinstance(response.body, bytes)
        with response.body as body:
            next(body)
            upstream.release()
        assert of(gateway.usage()) == REAL


Opened = AbstractAsyncContextManager[tuple[ASGIApp, AsyncGateway]]


@asynccontextmanager
async def plain(settings: Settings) -> AsyncIterator[tuple[ASGIApp, AsyncGateway]]:
    async with AsyncGateway(settings) as gateway:
        yield CompletionsMiddleware(None, gateway), gateway


async def pass_on(request: StarletteRequest, call_next: RequestResponseEndpoint) -> Response:
    return await call_next(request)


@asynccontextmanager
async def below_base_middleware(settings: Settings) -> AsyncIterator[tuple[ASGIApp, AsyncGateway]]:
    async with AsyncGateway(settings) as gateway:
        yield Starlette(routes=routes(gateway), middleware=[Middleware(BaseHTTPMiddleware, dispatch=pass_on)]), gateway


@asynccontextmanager
async def django(settings: Settings) -> AsyncIterator[tuple[ASGIApp, AsyncGateway]]:
    with start_blocking_portal() as portal, configured(Project(settings, portal)) as urls:
        async with urls.async_gateway as gateway:
            yield get_asgi_application(), gateway


@pytest.mark.parametrize("host", [plain, below_base_middleware, django])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_before_the_answer_begins_under_asgi(upstream: MockUpstream, host: Callable[[Settings], Opened], stream: bool) -> None:
    body = to_json({"model": "ttfb", "messages": [{"role": "user", "content": "one two three"}], "stream": stream})
    sent: list[Any] = []

    async def main() -> list[UsageRow]:
        messages: Iterator[Any] = iter([{"type": "http.request", "body": body}, {"type": "http.disconnect"}])
        seen = asyncio.Event()

        async def receive() -> Any:
            message = next(messages)
            if message["type"] == "http.disconnect":
                await asyncio.to_thread(upstream.wait_for, lambda: upstream.active_requests == 1)
                seen.set()
            return message

        async def send(message: Any) -> None:
            sent.append(message)

        headers = (*HEADERS, ("content-length", str(len(body))))
        async with host(settings(upstream)) as (app, gateway):
            answering = asyncio.ensure_future(app(scope_of(Sent("POST", "/api/v1/chat/completions", headers)), receive, send))
            await seen.wait()
            upstream.release()
            await answering
            return await gateway.usage()

    assert of(asyncio.run(main())) == REAL
    # Django sends nothing to a client that has left.
    assert [message["status"] for message in sent if "status" in message] == ([] if host is django else [499 if stream else 200])


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_before_the_answer_begins_under_wsgi(upstream: MockUpstream, pair: tuple[socket.socket, socket.socket], stream: bool) -> None:
    ours, theirs = pair
    asked = request("ttfb", stream=stream)
    with Gateway(settings(upstream)) as gateway:
        watched = Request(asked.method, asked.path, asked.headers, asked.body, connection=ClientSocket(ours))

        def ask() -> None:
            response = gateway.handle(watched)
            if not isinstance(response.body, bytes):
                response.body.close()

        asking = threading.Thread(target=ask)
        asking.start()
        upstream.wait_for(lambda: upstream.active_requests == 1)
        theirs.close()
        upstream.release()
        asking.join()
        assert of(gateway.usage()) == REAL


def test_places_are_bounded_in_number_and_time(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    clock, finishing = FakeClock(), Finishing(places=1, seconds=60)
    first, second = (PatientConnection(ClientSocket(ours), finishing, clock.clock()) for _ in range(2))
    assert not first.is_gone()
    theirs.close()
    assert (first.is_gone(), second.is_gone()) == (False, True)
    clock.advance(60)
    assert first.is_gone()
    first.release()
    assert finishing.take()
    assert second.is_gone()
