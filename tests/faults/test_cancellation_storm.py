"""20,000 requests that end early over a pool of 10 leave 10 usable connections and nothing else (docs/promises.md, Clients that leave)."""

import asyncio
import gc
import random
import socket
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psutil
import pytest

from completions_mw import AsyncGateway, Gateway, Settings
from completions_mw.adapters.wsgi import ClientSocket
from completions_mw.backends.http import AsyncTransport, BlockingTransport
from completions_mw.blocking import BlockingIterator, run_sync
from completions_mw.core.streaming.body import StreamBody
from tests.faults.conftest import request, settings_for
from tests.faults.test_cancellation import check_nothing_left
from tests.support.upstream import MockUpstream
from tests.support.upstream_exchange import RequestContext
from tests.support.upstream_scenarios import ok

POOL = 10
AT_ONCE = 30
MODELS = ("ok", "ttfb", "stall", "hang")
ENDINGS = ("closed early", "never started", "dropped", "client left while it waited", "client left midway")
count_of_requests = pytest.mark.parametrize(
    "count", [pytest.param(500, id="500"), pytest.param(20_000, id="20000", marks=pytest.mark.soak)]
)


@pytest.fixture(scope="module")
def upstream() -> Iterator[MockUpstream]:
    everybody = asyncio.Barrier(POOL)

    async def together(x: RequestContext) -> None:
        """Answer nobody until the whole pool is in use at the same time."""
        await everybody.wait()
        await ok(x)

    with MockUpstream({"together": together}) as server:
        yield server


@pytest.fixture
def settings(upstream: MockUpstream) -> Settings:
    patience = {"connect": 30.0, "first_byte": 30.0, "between_events": 30.0}
    return settings_for(upstream, patience, models={name: {"targets": [f"up/{name}"]} for name in (*MODELS, "together")})


class Baseline:
    """What the process holds before a storm, to be found again after it."""

    def __init__(self) -> None:
        self._before = self._now()

    def check(self, upstream: MockUpstream) -> None:
        upstream.wait_for(lambda: upstream.active_connections == 0)
        upstream.run(turns_of_the_loop())
        gc.collect()
        assert self._now() == self._before

    def _now(self) -> tuple[int, int]:
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
    """Do what the ASGI adapter does."""
    response = await gateway.handle(request(model, stream=stream))
    if isinstance(response.body, StreamBody):
        try:
            while not response.body.is_done:
                await response.body.__anext__()
        finally:
            await response.body.aclose()
    return response.status


async def cancel(gateway: AsyncGateway, count: int) -> None:
    """Cancel `count` requests at moments that nobody chose, with three times as many at once as there are connections."""
    luck, live, cancelled = random.Random(40), set[asyncio.Task[int]](), 0
    while cancelled < count:
        live.add(asyncio.create_task(consume(gateway, luck.choice(MODELS), stream=luck.random() < 0.7)))
        for _ in range(luck.choice((0, 0, 1, 2, 5, 20))):
            await asyncio.sleep(0)
        if len(live) > AT_ONCE or luck.random() < 0.3:
            for task in luck.sample(sorted(live, key=id), luck.randint(1, len(live))):
                task.cancel()
        done = {task for task in live if task.done()}
        cancelled += sum(task.cancelled() for task in done)
        live -= done
    for task in live:
        task.cancel()
    await asyncio.gather(*live, return_exceptions=True)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def probe(gateway: AsyncGateway) -> list[int]:
    return await asyncio.gather(*[consume(gateway, "together", stream=False) for _ in range(POOL)])


async def pools_of(transport: AsyncTransport) -> Mapping[Any, object]:
    return transport._pools.get()


@count_of_requests
def test_cancelled_tasks(upstream: MockUpstream, settings: Settings, count: int) -> None:
    transport = AsyncTransport(POOL, tick=0.1)
    gateway = AsyncGateway(settings, transport=transport)
    with asyncio.Runner() as runner:
        runner.get_loop()
        baseline = Baseline()
        runner.run(cancel(gateway, count))
        check_that_every_moment_was_hit(upstream)
        assert len(upstream.requests) < count, "some never had a connection"
        check_nothing_left(runner.run(pools_of(transport)))
        assert runner.run(probe(gateway)) == [200] * POOL
        runner.run(transport.aclose())
        baseline.check(upstream)


def abandon(gateway: Gateway, number: int) -> None:
    """Send one request and end it early."""
    luck = random.Random(number)
    ending = luck.choice(ENDINGS)
    model = luck.choice(MODELS if ending == ENDINGS[3] else ("ok", "stall", "hang"))
    ours, clients = socket.socketpair()
    with ours, clients:
        if ending == "client left while it waited":
            clients.close()
        response = gateway.handle(replace(request(model, stream=True), connection=ClientSocket(ours)))
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


@count_of_requests
def test_abandoned_streams(upstream: MockUpstream, settings: Settings, count: int) -> None:
    transport = BlockingTransport(POOL, tick=0.1)
    gateway = Gateway(settings, transport=transport)
    baseline = Baseline()
    with ThreadPoolExecutor(POOL + 4) as threads:
        list(threads.map(lambda number: abandon(gateway, number), range(count)))
        # Some dropped streams hang on the traceback of their end, in newer Pythons until the next collection.
        gc.collect()
        check_that_every_moment_was_hit(upstream)
        check_nothing_left(transport._pools)
        assert [answer.status for answer in threads.map(gateway.handle, [request("together")] * POOL)] == [200] * POOL
    run_sync(transport.aclose())
    baseline.check(upstream)
