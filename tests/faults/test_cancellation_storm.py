"""20,000 requests that end early over pools of 10 leave 10 usable connections and nothing else (docs/promises.md, Clients that leave)."""

import asyncio
import gc
import json
import os
import random
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
import uvloop

from completions_mw import AsyncGateway, Gateway
from completions_mw.adapters.wsgi_client import ClientSocket
from completions_mw.backends.http import AsyncTransport, BlockingTransport
from completions_mw.blocking import BlockingIterator, run_sync
from tests.faults.storm import AT_ONCE, MODELS, POOL, STAGES, request_for, settings_of
from tests.faults.test_cancellation import check_nothing_left, on_loops, on_threads
from tests.support.proxy import Blackhole, FaultProxy
from tests.support.silent_server import SilentServer
from tests.support.upstream import MockUpstream
from tests.support.upstream_exchange import RequestContext
from tests.support.upstream_scenarios import ok
from tests.support.whole_answer import whole_answer

ROOT = Path(__file__).parents[2]
ENDINGS = ("closed early", "never started", "dropped", "client left while it waited", "client left midway")
count_of_requests = pytest.mark.parametrize(
    "count", [pytest.param(400, id="400"), pytest.param(20_000, id="20000", marks=pytest.mark.soak)]
)


class Upstreams(NamedTuple):
    up: MockUpstream
    silent: SilentServer
    urls: Mapping[str, str]
    """Base URLs of the providers."""


@contextmanager
def upstreams() -> Iterator[Upstreams]:
    everybody = asyncio.Barrier(POOL)

    async def together(x: RequestContext) -> None:
        """Answer nobody until the whole pool is in use at the same time."""
        await everybody.wait()
        await ok(x)

    with MockUpstream({"together": together}) as up, SilentServer() as silent, FaultProxy("127.0.0.1", up.port, Blackhole()) as full:
        urls = {
            "up": up.url,
            "connecting": f"http://127.0.0.1:{full.port}/v1",
            "handshake": f"https://127.0.0.1:{silent.port}/v1",
            "sending": f"http://127.0.0.1:{silent.port}/v1",
        }
        yield Upstreams(up, silent, urls)


@pytest.fixture(scope="module")
def servers() -> Iterator[Upstreams]:
    with upstreams() as started:
        yield started


@pytest.fixture(autouse=True)
def forgetful(servers: Upstreams) -> None:
    servers.up.reset()


class Baseline:
    """What the process holds before a storm, to be found again after it."""

    def __init__(self, servers: Upstreams) -> None:
        self._servers = servers
        self._before = self._now()

    def check(self) -> None:
        assert self._now() == self._before

    def _now(self) -> tuple[int, int]:
        up, silent, _ = self._servers
        up.wait_for(lambda: up.active_connections == 0)
        up.run(turns_of_the_loop())
        silent.run(silent.forget())
        gc.collect()
        return psutil.Process().num_fds(), threading.active_count()


async def turns_of_the_loop() -> None:
    """Let asyncio close the sockets of what has ended: it does so in the turns after that."""
    for _ in range(10):
        await asyncio.sleep(0)


def check_that_every_moment_was_hit(upstream: MockUpstream) -> None:
    upstream.wait_for(lambda: upstream.active_requests == 0)
    pieces = [closed.pieces_sent for closed in upstream.closed]
    assert 0 in pieces, "before the head"
    assert any(pieces), "in the middle of a body"
    assert upstream.most_active_requests > POOL // 2


async def consume(gateway: AsyncGateway, model: str, *, stream: bool) -> int:
    status, _, _ = await whole_answer(await gateway.handle(request_for(model, stream=stream)))
    return status


async def cancel(gateway: AsyncGateway, count: int) -> None:
    """Cancel `count` requests at moments that nobody chose, with three times as many at once as there are connections."""
    luck, live, cancelled = random.Random(40), dict[asyncio.Task[int], str](), Counter[str]()
    while cancelled.total() < count:
        model = luck.choices(list(MODELS), list(MODELS.values()))[0]
        live[asyncio.create_task(consume(gateway, model, stream=luck.random() < 0.7))] = model
        for _ in range(luck.choice((0, 0, 1, 2, 5, 20))):
            await asyncio.sleep(0)
        if len(live) > AT_ONCE or luck.random() < 0.3:
            for task in luck.sample(list(live), luck.randint(1, len(live))):
                task.cancel()
        for task in [task for task in live if task.done()]:
            cancelled[live.pop(task)] += task.cancelled()
    for task in live:
        task.cancel()
    await asyncio.gather(*live, return_exceptions=True)
    await turns_of_the_loop()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert min(cancelled[model] for model in STAGES) > 0, cancelled


async def probe(gateway: AsyncGateway) -> list[int]:
    return await asyncio.gather(*[consume(gateway, "together", stream=False) for _ in range(POOL)])


async def pools_of(transport: AsyncTransport) -> Mapping[Any, object]:
    return transport._pools.get()


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@on_loops
@count_of_requests
def test_cancelled_tasks(
    servers: Upstreams, new_loop: Callable[[], asyncio.AbstractEventLoop], transport_class: type[AsyncTransport], count: int
) -> None:
    transport = transport_class(POOL, 3.0, 4.0, 0.1)
    gateway = AsyncGateway(settings_of(servers.urls), transport=transport)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        # What a loop makes at its first use belongs to the baseline.
        assert runner.run(probe(gateway)) == [200] * POOL
        runner.run(transport.aclose())
        runner.run(turns_of_the_loop())
        baseline = Baseline(servers)
        runner.run(cancel(gateway, count))
        check_that_every_moment_was_hit(servers.up)
        assert len(servers.up.requests) < count, "some never had a connection"
        check_nothing_left(runner.run(pools_of(transport)))
        assert runner.run(probe(gateway)) == [200] * POOL
        runner.run(transport.aclose())
        runner.run(turns_of_the_loop())
        baseline.check()


def abandon(gateway: Gateway, number: int) -> None:
    """Send one request and end it early."""
    luck = random.Random(number)
    ending = luck.choice(ENDINGS)
    model = luck.choices(list(MODELS), list(MODELS.values()))[0]
    if ending != "client left while it waited" and model in ("ttfb", "sending"):
        # Nothing else would end it.
        model = "stall"
    ours, clients = socket.socketpair()
    with ours, clients:
        if ending == "client left while it waited":
            clients.close()
        response = gateway.handle(replace(request_for(model, stream=True), connection=ClientSocket(ours)))
        if isinstance(response.body, BlockingIterator):
            end(response.body, ending, luck.randint(1, 3), clients)


def end(body: BlockingIterator[bytes], ending: str, after: int, clients: socket.socket) -> None:
    if ending == "never started":
        return body.close()
    for _ in zip(body, range(after), strict=False):
        pass
    if ending == "closed early":
        body.close()
    if ending == "client left midway":
        clients.close()
        list(body)
        body.close()
    return None


@on_threads
@count_of_requests
def test_abandoned_streams(servers: Upstreams, transport_class: type[BlockingTransport], count: int) -> None:
    """Nobody cancels a thread: a connection that does not come to be ends by its deadline."""
    transport = transport_class(POOL, 3.0, 4.0, 0.1)
    gateway = Gateway(settings_of(servers.urls, connect=0.05), transport=transport)
    baseline = Baseline(servers)
    with ThreadPoolExecutor(POOL + 4) as threads:
        list(threads.map(lambda number: abandon(gateway, number), range(count)))
        # Some dropped streams hang on the traceback of their end, in newer Pythons until the next collection.
        gc.collect()
        check_that_every_moment_was_hit(servers.up)
        check_nothing_left(transport._pools)
        assert [answer.status for answer in threads.map(gateway.handle, [request_for("together", stream=False)] * POOL)] == [200] * POOL
    run_sync(transport.aclose())
    # With its background thread, which began with the first stream.
    gateway.close()
    baseline.check()


@count_of_requests
def test_killed_greenlets(servers: Upstreams, count: int) -> None:
    """In a process of its own, in which gevent has patched what waits."""
    process = subprocess.run(
        [sys.executable, "-m", "tests.faults.gevent_storm", str(count), json.dumps(servers.urls)],
        env={**os.environ, "PYTHONWARNINGS": "error"},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        timeout=1200,
    )
    found = json.loads(process.stdout)
    assert found["killed"].keys() == {*STAGES, "head", "body"}
    assert found["probes"] == [200] * POOL
    assert found["pools"].count("0 active, ") == found["pools"].count("0 waiting") == 4, found
    assert found["after"] == found["before"]
