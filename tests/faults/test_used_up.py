"""What is used up harms nobody else: the connections to one upstream, and the descriptors of this process (docs/promises.md, Bounds)."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest

from completions_mw.backends.http import AsyncTransport, BlockingTransport
from completions_mw.blocking import run_sync
from tests.faults.conftest import AsyncClient, BlockingClient, every_transport, request, settings_for
from tests.support.forked import in_child, no_descriptors_left
from tests.support.upstream import MockUpstream
from tests.support.waiting import wait_until

MAX = 100
"""Connections to each upstream."""
WAITING = 10
"""Requests for which there is no connection."""
every_client = pytest.mark.parametrize("kind", [BlockingClient, AsyncClient], ids=["blocking", "async"])


@pytest.fixture(scope="module")
def other() -> Iterator[MockUpstream]:
    with MockUpstream() as server:
        yield server


def two_upstreams(upstream: MockUpstream, other: MockUpstream) -> Any:
    providers = {"other": {"api": "openai", "base_url": other.url, "api_key": "sk-other"}}
    models = {"ttfb": {"targets": ["up/ttfb"]}, "ok": {"targets": ["other/ok"]}}
    return settings_for(upstream, models=models, providers=providers, connections={"max": MAX, "wait": 60})


def test_a_slow_upstream_does_not_touch_the_callers_of_another(upstream: MockUpstream, other: MockUpstream) -> None:
    """All connections to one are taken, and more requests wait for them than there are."""
    transport = BlockingTransport(MAX, 60)
    client = BlockingClient(two_upstreams(upstream, other), transport=transport)
    with ThreadPoolExecutor(MAX + WAITING) as threads:
        slow = [threads.submit(client.post, "ttfb") for _ in range(MAX + WAITING)]
        wait_until(lambda: f"{MAX} active, 0 idle, {WAITING} waiting" in repr(transport._pools))
        upstream.wait_for(lambda: upstream.active_requests == MAX)
        assert client.probe(10) == [200] * 10
        assert not any(answer.done() for answer in slow)
        upstream.release()
        assert [answer.result().status for answer in slow] == [200] * (MAX + WAITING)
    assert other.connections == 1
    run_sync(transport.aclose())
    client.close()


def test_a_slow_upstream_does_not_touch_the_callers_of_another_on_an_event_loop(upstream: MockUpstream, other: MockUpstream) -> None:
    transport = AsyncTransport(MAX, 60)
    client = AsyncClient(two_upstreams(upstream, other), transport=transport)

    async def scenario() -> None:
        slow = [asyncio.create_task(client.asend(request("ttfb"))) for _ in range(MAX + WAITING)]
        await asyncio.to_thread(upstream.wait_for, lambda: upstream.active_requests == MAX)
        assert f"{MAX} active, 0 idle, {WAITING} waiting" in repr(transport._pools.get())
        assert [(await client.asend(request("ok"))).status for _ in range(10)] == [200] * 10
        assert not any(answer.done() for answer in slow)
        upstream.release()
        assert [answer.status for answer in await asyncio.gather(*slow)] == [200] * (MAX + WAITING)
        await transport.aclose()

    client.runner.run(scenario())
    client.close()


def test_a_slow_name_server_does_not_touch_the_callers_of_another_name(upstream: MockUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Event loops look names up in a few threads, which all of the app share."""
    resolve, answered, asked = socket.getaddrinfo, Event(), []

    def slow(host: str, *args: Any, **options: Any) -> Any:
        if host.endswith(".test") and not options.get("flags"):
            asked.append(host)
            answered.wait()
            host = "127.0.0.1"
        return resolve(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    names = {"slow": f"http://slow.test:{upstream.port}/v1", "other": f"http://localhost:{upstream.port}/v1"}
    providers = {name: {"api": "openai", "base_url": url, "api_key": "sk"} for name, url in names.items()}
    models = {"slow": {"targets": ["slow/ok"]}, "ok": {"targets": ["other/ok"]}}
    client = AsyncClient(settings_for(upstream, models=models, providers=providers))

    async def scenario() -> None:
        slow = [asyncio.create_task(client.asend(request("slow"))) for _ in range(MAX)]
        await asyncio.to_thread(wait_until, lambda: bool(asked))
        assert (await client.asend(request("ok"))).status == 200
        assert not any(answer.done() for answer in slow)
        slow.pop().cancel()
        answered.set()
        assert {answer.status for answer in await asyncio.gather(*slow[1:])} == {200}

    client.runner.run(scenario())
    assert asked == ["slow.test"]
    client.close()


@every_transport
@every_client
def test_no_descriptors_left(upstream: MockUpstream, kind: Callable[..., BlockingClient | AsyncClient], transport: str) -> None:
    """The fault is this process's own; it shows when a name is looked up, and when a socket is made."""

    def work() -> list[Any]:
        named = {"api": "openai", "base_url": upstream.url.replace("127.0.0.1", "localhost"), "api_key": "sk"}
        models = {"ok": {"targets": ["up/ok"]}, "name": {"targets": ["named/ok"]}}
        settings = settings_for(upstream, providers={"named": named}, models=models, transport=transport)
        client = kind(settings)
        # The event loop is there, and what modules are imported only then.
        seen: list[Any] = [client.post(model).status for model in ("ok", "name")]
        if isinstance(client, AsyncClient):
            client.runner.run(client.gateway.close())
        else:
            client.gateway.close()
        with no_descriptors_left():
            for model in ("ok", "name"):
                answer = client.post(model)
                seen.append([answer.status, answer.error["code"], answer.headers["retry-after"]])
        return [*seen, *(client.post(model).status for model in ("ok", "name"))]

    refused = [503, "overloaded", "1"]
    assert in_child(work) == [200, 200, refused, refused, 200, 200]
