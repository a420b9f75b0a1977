"""No connection, or a pool that is used up, in both gateways (docs/promises.md, Targets and fallback)."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

import pytest

from completions_mw import Gateway
from completions_mw.blocking import BlockingIterator
from tests.faults.conftest import AsyncClient, BlockingClient, Client, every_transport, request, settings_for
from tests.support.proxy import Blackhole, FaultProxy, Grant, Mode, Refuse
from tests.support.upstream import MockUpstream

pytestmark = [pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"]), every_transport]


CONNECT = 0.5
"""Seconds to wait where nobody answers: enough for a connection to be made, whatever else the machine does."""

ONE = {"max": 1, "wait": 0.1}
"""A pool of one connection, which nobody gives back."""


@dataclass
class Site:
    proxy: FaultProxy
    client: Client


@pytest.fixture(params=[BlockingClient, AsyncClient], ids=["blocking", "async"])
def site(request: pytest.FixtureRequest, upstream: MockUpstream, transport: str) -> Iterator[Site]:
    with FaultProxy("127.0.0.1", upstream.port) as proxy:
        provider = {"api": "openai", "base_url": f"http://127.0.0.1:{proxy.port}/v1", "timeouts": {"connect": CONNECT}}
        client = request.param(settings_for(upstream, providers={"up": provider}, transport=transport))
        yield Site(proxy, client)
        client.close()


@pytest.mark.parametrize(
    ("mode", "status", "code"),
    [(Refuse(), 502, "upstream_unreachable"), (Blackhole(), 504, "upstream_timeout")],
    ids=["refused", "blackhole"],
)
def test_no_connection(site: Site, upstream: MockUpstream, mode: Mode, status: int, code: str, stream: bool) -> None:
    """And once the upstream is back, so are we (docs/promises.md, Targets and fallback)."""
    site.proxy.use(mode)
    answer = site.client.post("ok", stream=stream)
    assert (answer.status, answer.error["type"], answer.error["code"]) == (status, "server_error", code)
    assert upstream.requests == []
    site.proxy.use(Grant())
    assert site.client.post("ok", stream=stream).status == 200


@pytest.mark.parametrize("kind", [BlockingClient, AsyncClient], ids=["blocking", "async"])
def test_a_name_that_does_not_resolve(
    kind: type[BlockingClient | AsyncClient], upstream: MockUpstream, monkeypatch: pytest.MonkeyPatch, transport: str, stream: bool
) -> None:
    def unknown(*_: object, **__: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    provider = {"api": "openai", "base_url": "http://no-such-host.invalid/v1"}
    client = kind(settings_for(upstream, providers={"up": provider}, transport=transport))
    answer = client.post("ok", stream=stream)
    assert (answer.status, answer.error["code"]) == (502, "upstream_unreachable")
    assert "no-such-host" not in answer.error["message"]
    client.close()


def test_an_idle_connection_that_the_upstream_closed(site: Site, upstream: MockUpstream, stream: bool) -> None:
    assert site.client.post("ok", stream=stream).status == 200
    site.proxy.drop()
    upstream.wait_for(lambda: upstream.active_connections == 0)
    assert site.client.post("ok", stream=stream).status == 200


def test_a_pool_that_is_used_up(upstream: MockUpstream, transport: str, stream: bool) -> None:
    client = BlockingClient(settings_for(upstream, {"connect": CONNECT}, connections=ONE, transport=transport))
    with held(client.gateway):
        answer = client.post("ok", stream=stream)
        assert (answer.status, answer.error["code"], answer.headers["retry-after"]) == (503, "overloaded", "1")
    assert client.post("ok", stream=stream).status == 200
    client.close()


def test_a_pool_that_is_used_up_on_an_event_loop(upstream: MockUpstream, transport: str, stream: bool) -> None:
    client = AsyncClient(settings_for(upstream, {"connect": CONNECT}, connections=ONE, transport=transport))

    async def two() -> None:
        first = (await client.gateway.handle(request("hang", stream=True))).body
        assert not isinstance(first, bytes)
        answer = await client.asend(request("ok", stream=stream))
        assert (answer.status, answer.error["code"], answer.headers["retry-after"]) == (503, "overloaded", "1")
        await first.aclose()

    client.runner.run(two())
    assert client.post("ok", stream=stream).status == 200
    client.close()


def held(gateway: Gateway) -> BlockingIterator[bytes]:
    """Hold the only connection for the time of a `with` block."""
    body = gateway.handle(request("hang", stream=True)).body
    assert isinstance(body, BlockingIterator)
    return body
