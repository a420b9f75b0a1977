"""A blocking gateway watches the client of a call, but does not stop a call that others wait for (docs/caching.md)."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from completions_mw import Gateway, Request, Settings
from completions_mw.adapters.wsgi_client import ClientSocket
from completions_mw.core.cache import cache
from tests.hosts.base import CHAT, bearer
from tests.support.admission import PATIENT
from tests.support.grammar import check_stream
from tests.support.redis_server import RedisServer
from tests.support.upstream import MockUpstream
from tests.support.waiting import wait_until

KEY = "sk-ada-0123456789"


class Clients:
    """Clients of a gateway, each with a connection that it can close."""

    def __init__(self, gateway: Gateway, stack: ExitStack) -> None:
        self.gateway = gateway
        self._stack = stack
        self._threads = stack.enter_context(ThreadPoolExecutor(8))

    def ask(self, **fields: Any) -> "tuple[Future[tuple[int, bytes]], socket.socket]":
        """Send a request; return its answer to come, and the client's end of the connection."""
        server, client = socket.socketpair()
        self._stack.callback(client.close)
        body = json.dumps({"messages": [{"role": "user", "content": "hi"}], **fields}).encode()
        headers = (*bearer(KEY), ("content-type", "application/json"))
        return self._threads.submit(self._answer, Request("POST", CHAT, headers, body, connection=ClientSocket(server)), server), client

    def _answer(self, request: Request, server: socket.socket) -> tuple[int, bytes]:
        # As a server does: the connection is closed after the answer, and where writing to it fails.
        with server:
            response = self.gateway.handle(request)
            if isinstance(response.body, bytes):
                return response.status, response.body
            with response.body as pieces:
                received = b""
                for piece in pieces:
                    received += piece
                    server.sendall(piece)
        return response.status, received

    def wait_for(self, requests: int) -> None:
        wait_until(lambda: self.gateway.cache.stats().waiting == requests)


@pytest.fixture
def upstream() -> Iterator[MockUpstream]:
    with MockUpstream() as upstream:
        yield upstream


@pytest.fixture
def clients(upstream: MockUpstream) -> Iterator[Clients]:
    settings = Settings.from_mapping(
        {
            "keep_alive": 0.05,
            "providers": {"up": {"api": "openai", "base_url": upstream.url, "api_key": "sk-up"}},
            "models": {name: {"targets": [f"up/{name}"]} for name in ("ttfb", "stall-2")},
            "cache": {"enabled": True, "when": "always"},
            "keys": {"ada": {"secret": KEY}},
        }
    )
    with ExitStack() as stack:
        yield Clients(stack.enter_context(Gateway(settings)), stack)


def test_the_call_of_a_client_that_leaves_stops(clients: Clients, upstream: MockUpstream) -> None:
    answer, client = clients.ask(model="ttfb")
    upstream.wait_for(lambda: upstream.active_requests == 1)
    client.close()
    assert answer.result(30)[0] == 499
    upstream.wait_for(lambda: upstream.active_requests == 0)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("model", ["ttfb", "stall-2"])
def test_a_call_that_others_wait_for_goes_on(clients: Clients, upstream: MockUpstream, model: str, stream: bool) -> None:
    leader, client = clients.ask(model=model, stream=stream)
    upstream.wait_for(lambda: upstream.active_requests == 1)
    clients.wait_for(1)
    follower, _kept = clients.ask(model=model, stream=stream)
    clients.wait_for(2)
    client.close()
    upstream.release()
    status, body = follower.result(30)
    assert status == 200
    if stream:
        check_stream(body)
        assert isinstance(leader.exception(30), OSError)
    else:
        assert leader.result(30) == (200, body)
    assert len(upstream.requests) == 1
    clients.wait_for(0)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_client_that_leaves_while_it_waits_for_others_holds_no_thread(
    clients: Clients, upstream: MockUpstream, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "WATCH_SECONDS", 0.01)
    leader, _kept = clients.ask(model="ttfb")
    upstream.wait_for(lambda: upstream.active_requests == 1)
    followers = [clients.ask(model="ttfb", stream=stream) for _ in range(3)]
    clients.wait_for(4)
    for _, client in followers:
        client.close()
    assert [answer.result(30)[0] for answer, _ in followers] == [499] * 3
    clients.wait_for(1)
    upstream.release()
    assert leader.result(30)[0] == 200
    assert len(upstream.requests) == 1


def test_a_client_that_leaves_while_it_waits_for_another_process_holds_no_thread(upstream: MockUpstream, redis_server: RedisServer) -> None:
    tree = {
        "providers": {"up": {"api": "openai", "base_url": upstream.url}},
        "models": {"ttfb": {"targets": ["up/ttfb"]}},
        "cache": {"enabled": True, "when": "always"},
        "keys": {"ada": {"secret": KEY}},
        "stores": {"cache": redis_server.url + PATIENT},
    }
    with ExitStack() as stack:
        one, other = (Clients(stack.enter_context(Gateway(Settings.from_mapping(tree))), stack) for _ in range(2))
        leader, _kept = one.ask(model="ttfb")
        upstream.wait_for(lambda: upstream.active_requests == 1)
        waiting, client = other.ask(model="ttfb")
        other.wait_for(1)
        client.close()
        assert waiting.result(30)[0] == 499
        upstream.release()
        assert leader.result(30)[0] == 200
    assert len(upstream.requests) == 1
