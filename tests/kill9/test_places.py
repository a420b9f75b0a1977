"""Workers are killed while they hold places: never more requests run than there are places, which are soon free again."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import redis

from tests.kill9.conftest import Report
from tests.kill9.pack import PATIENCE, Pack
from tests.kill9.workers import PLACES, take_places
from tests.servers.patience import STORE_PATIENCE
from tests.support import upstream_scenarios
from tests.support.redis_server import RedisServer
from tests.support.upstream import MockUpstream
from tests.support.upstream_exchange import RequestContext
from tests.support.waiting import wait_until

BATCHES = 4
KILLS_OF_BATCH = 50
WORKERS = 5
LEASE_SECONDS = 1.0
SAMPLE_SECONDS = 0.01
MOST_SECONDS = 0.05
SLOT = "{completions_mw}:slot:caller:crowd:concurrency"


class Paced:
    """A scenario that takes a while, and counts who is there; nobody is any more from before the answer is sent on."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0
        self.served = 0
        self._random = Random(1)

    async def __call__(self, x: RequestContext) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(self._random.uniform(0, MOST_SECONDS))
        finally:
            self.now -= 1
        self.served += 1
        await upstream_scenarios.ok(x)


class Leases:
    """The leases that hold, by Redis' own clock; looks at them all the time inside a `with` block."""

    def __init__(self, client: redis.Redis) -> None:
        self.samples = 0
        self.most = 0
        self._client = client
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Leases":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()

    def milliseconds_left(self) -> list[float]:
        """Return how long each of them holds."""
        seconds, microseconds = self._ask("TIME")
        now = seconds * 1000 + microseconds / 1000
        ends: list[bytes] = self._ask("ZRANGEBYSCORE", SLOT, f"({now:.0f}", "+inf", "WITHSCORES")[1::2]
        return [float(end) - now for end in ends]

    def _ask(self, *words: str) -> Any:
        return self._client.execute_command(*words)  # type: ignore[no-untyped-call]

    def _run(self) -> None:
        while not self._enough.wait(SAMPLE_SECONDS):
            self.most = max(self.most, len(self.milliseconds_left()))
            self.samples += 1


@pytest.fixture
def leases(redis_server: RedisServer) -> Iterator[Leases]:
    with contextlib.closing(redis.Redis(port=redis_server.port, protocol=2)) as client, Leases(client) as watched:
        yield watched


@pytest.mark.kill9
def test_workers_that_hold_places(redis_server: RedisServer, leases: Leases, tmp_path: Path, report: Report) -> None:
    began = time.monotonic()
    paced = Paced()
    with MockUpstream({"paced": paced}) as upstream:
        settings = {
            "providers": {"mock": {"api": "openai", "base_url": upstream.url, "api_key": "sk-upstream-0123456789"}},
            "models": {"paced": {"targets": ["mock/paced"]}},
            "stores": {
                "admission": f"{redis_server.url}?socket_timeout={STORE_PATIENCE}",
                "admission_failure": "closed",
                "lease_ttl": LEASE_SECONDS,
            },
        }
        pack = Pack(take_places, settings, tmp_path, seed=2, workers=WORKERS)
        for batch in range(BATCHES):
            with pack.running(str(batch)) as workers:
                for _ in range(KILLS_OF_BATCH):
                    pack.kill_one(workers, str(batch))
            left = leases.milliseconds_left()
            assert max(left, default=0) <= LEASE_SECONDS * 1000
            wait_until(lambda: not leases.milliseconds_left())
            upstream.wait_for(lambda: upstream.active_requests == 0, timeout=PATIENCE)
    assert paced.most == PLACES
    assert leases.most == PLACES
    assert leases.samples > 100
    report(
        "redis",
        kills=pack.kills,
        requests_cut=len(upstream.closed),
        acknowledged=paced.served,
        most_at_upstream=paced.most,
        most_leases=leases.most,
        samples=leases.samples,
        left=0,
        seconds=round(time.monotonic() - began),
    )
