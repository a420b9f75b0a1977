"""`abandoned = "finish"`: answers are read to their end without their clients, and settled by the real usage (docs/promises.md, Money)."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic_core import to_json

from completions_mw import AsyncGateway, Gateway, Settings
from completions_mw.adapters.asgi import answer
from completions_mw.adapters.wsgi_client import ClientSocket
from completions_mw.core.ports import UsageRow
from completions_mw.core.streaming.body import StreamBody
from completions_mw.core.streaming.finishing import Finishing, PatientConnection
from completions_mw.http import Request
from tests.faults.conftest import HEADERS, KEY, request, settings_for
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


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_before_the_answer_begins_under_asgi(upstream: MockUpstream, stream: bool) -> None:
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

        headers = [(name.encode(), value.encode()) for name, value in HEADERS]
        scope = {"type": "http", "method": "POST", "path": "/api/v1/chat/completions", "headers": headers}
        async with AsyncGateway(settings(upstream)) as gateway:
            answering = asyncio.create_task(answer(gateway, scope, receive, send))
            await seen.wait()
            upstream.release()
            await answering
            return await gateway.usage()

    assert of(asyncio.run(main())) == REAL
    assert sent[0]["status"] == (499 if stream else 200)


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
