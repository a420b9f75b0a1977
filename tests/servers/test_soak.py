"""Mixed traffic for a long time, then `kill -9`: nothing fails, nothing grows, nothing is lost (docs/promises.md).

`SOAK_SECONDS` is how long each server is asked: half an hour, if it says nothing.
"""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import psutil
import pytest

from tests.servers.client import PATH, body, get
from tests.servers.conftest import ROOT, Running, Start
from tests.servers.fleet import PATIENCE, books
from tests.servers.growth import Sample, bytes_per_request, check_growth, curve, watch
from tests.servers.kinds import GUNICORN_GTHREAD, UVICORN_HTTPTOOLS, Kind
from tests.servers.mixed import KEYS, SORTS
from tests.servers.patience import STORE_PATIENCE
from tests.support import upstream_answers as answers
from tests.support import upstream_scenarios
from tests.support.rawhttp import RawClient, request
from tests.support.redis_server import RedisServer
from tests.support.upstream import MockUpstream
from tests.support.upstream_exchange import RequestContext
from tests.support.waiting import wait_until

pytestmark = pytest.mark.soak
"""Half an hour for each server."""

SECONDS = float(os.environ.get("SOAK_SECONDS", "1800"))
CLIENTS = 16
INPUT, OUTPUT = 1000, 2000
"""Nano-dollars of a token."""
PRICES = {"input": "1", "output": "2"}
"""The same in dollars for a million."""
LEASE_SECONDS = 3.0
MOST_COST = 20 * (INPUT + OUTPUT)
"""Nano-dollars of a request: none has more words."""
TURNS_BEFORE_KILL = 6
PAUSE = 0.015
"""Seconds at most, of which an answer has two."""
ONE_ARENA = {"MALLOC_ARENA_MAX": "1"}
"""What threads leave to glibc is no growth of ours (docs/deployment.md, Workers and threads)."""
SPENT = "SELECT name, spent FROM budgets"
COSTS = "SELECT key, sum(amount + adjustment) FROM entries GROUP BY key"
HELD = "SELECT (SELECT sum(reserved) FROM budgets), (SELECT count(*) FROM entries WHERE state = 'reserved')"
COUNTED = "SELECT request_id, prompt_tokens, completion_tokens FROM entries WHERE key = 'counted' AND state = 'settled'"
ESTIMATED = "SELECT sum(amount) FROM entries WHERE key = 'estimated' AND model = 'paced'"
ANSWERED = "SELECT count(*) FROM entries WHERE key = 'counted' AND status = 200"
REAPED = "SELECT count(*) FROM entries WHERE state = 'reaped'"


class Bill:
    """The scenario `paced`: answers after a while, and puts that on the bill of the key that the text begins with."""

    def __init__(self) -> None:
        self.prompt_tokens: Counter[str] = Counter()
        self.completion_tokens: Counter[str] = Counter()
        self._random = Random(1)

    async def __call__(self, x: RequestContext) -> None:
        key, usage = answers.last_text(x.body).split()[0], answers.usage(x.body)
        self.prompt_tokens[key] += usage["prompt_tokens"]
        self.completion_tokens[key] += usage["completion_tokens"]
        await asyncio.sleep(self._random.uniform(0, PAUSE))
        if not x.stream:
            return await upstream_scenarios.ok(x)
        first, *rest = answers.events(answers.chunks(x.body))
        await x.start()
        await x.piece(first)
        await asyncio.sleep(self._random.uniform(0, PAUSE))
        await x.pieces(rest)
        await x.end()

    def of(self, key: str) -> int:
        """Return what a key has cost, in nano-dollars."""
        return self.prompt_tokens[key] * INPUT + self.completion_tokens[key] * OUTPUT


class Traffic:
    """Clients in a process of their own (`mixed`)."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def progress(self) -> int:
        """Wait for the next few hundred requests; return how many there were."""
        assert self._process.stdout is not None
        return int(json.loads(self._process.stdout.readline())["requests"])

    def stop(self) -> dict[str, Any]:
        """Let them end what they have begun; return what became of all requests."""
        output, _ = self._process.communicate(timeout=PATIENCE)
        report: dict[str, Any] = json.loads(output.splitlines()[-1])
        return report


@contextlib.contextmanager
def traffic(port: int) -> Iterator[Traffic]:
    """Have clients ask during the `with` block."""
    command = [sys.executable, "-m", "tests.servers.mixed", str(port), str(CLIENTS)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Traffic(process)
    finally:
        process.kill()
        process.communicate()


def settings(ledger: str, admission: str) -> str:
    """Return the variable of a server where every request meets limits, budgets of its key and its tenant, and one model has a cache."""
    limits = {"requests": "10000000/minute", "tokens": "1000000000/minute", "concurrency": 1000}
    budget = {"usd": "1000000", "period": "total"}
    key = {"tenant": "all", "limits": limits, "budget": budget}
    keys = {name: {**key, "secret": KEYS[name]} for name in ("counted", "estimated", "limited")}
    model = {"prices": PRICES, "max_output_tokens": 100}
    models = {name: {**model, "targets": [f"mock/{name}"]} for name in ("paced", "cut", "status-400", "status-500")}
    return json.dumps(
        {
            "keys": {**keys, "limited": {**keys["limited"], "limits": {"requests": "60/minute"}}},
            "tenants": {"all": {"limits": limits, "budget": budget}},
            "models": {**models, "cached": {**model, "targets": ["mock/paced"], "cache": {"enabled": True, "ttl": 2.0}}},
            "stores": {"admission": admission, "ledger": ledger, "ledger_timeout": STORE_PATIENCE, "lease_ttl": LEASE_SECONDS},
            **{"keep_alive": 15.0, "send_timeout": 60.0, "body_timeout": 30.0, "breaker": {"enabled": False}},
        }
    )


class Books:
    """The ledger's file, read beside the gateway."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(self._path, timeout=PATIENCE, isolation_level=None)) as connection:
            return connection.execute(query).fetchall()

    def close(self) -> dict[str, int]:
        """Wait until nothing is held, check that budgets and requests say the same, and return what each key has spent."""
        wait_until(lambda: self.rows(HELD) == [(0, 0)], timeout=PATIENCE)
        assert self.rows("PRAGMA integrity_check") == [("ok",)]
        costs = dict(self.rows(COSTS))
        assert dict(self.rows(SPENT)) == {**costs, "all": sum(costs.values())}
        return costs


def keep_asking(server: Running, upstream: MockUpstream) -> tuple[list[Sample], dict[str, Any]]:
    """Ask for as long as it takes; return what the server had meanwhile, and what became of all requests."""
    process = psutil.Process(int(get(server.port, "/page").split()[1]))
    with traffic(server.port) as clients:

        def progress() -> int:
            # The upstream keeps every request for tests that want to see them.
            upstream.reset()
            return clients.progress()

        samples = watch(process, progress, SECONDS)
        report = clients.stop()
    print(*curve(samples), f"{bytes_per_request(samples):.1f} bytes a request", sep="\n")
    print({name: value for name, value in report.items() if name != "completed"})
    return samples, report


def kill_while_asking(server: Running) -> dict[str, Any]:
    """`kill -9` in the middle of everything; return what became of the requests before."""
    with traffic(server.port) as clients:
        for _ in range(TURNS_BEFORE_KILL):
            clients.progress()
        os.killpg(server.process.pid, signal.SIGKILL)
        return clients.stop()


def answered(report: dict[str, Any]) -> int:
    """Return how many requests of those that wait for every answer were answered with success."""
    return sum(count for outcome, count in report["outcomes"].items() if outcome.endswith(" 200") and SORTS[outcome[:-4]].key == "counted")


@pytest.mark.parametrize(
    ("kind", "is_shared"),
    [pytest.param(UVICORN_HTTPTOOLS, True, id="uvicorn-redis"), pytest.param(GUNICORN_GTHREAD, False, id="gunicorn-memory")],
)
def test_nothing_fails_or_grows_or_is_lost(kind: Kind, is_shared: bool, start: Start, redis_server: RedisServer, tmp_path: Path) -> None:
    bill, path = Bill(), tmp_path / "completions.db"
    ledger, kept = f"sqlite:///{path}", Books(path)
    admission = f"{redis_server.url}?socket_timeout={STORE_PATIENCE}" if is_shared else "memory://"
    with MockUpstream({"paced": bill}) as upstream:
        variables = {"SETTINGS": settings(ledger, admission), "UPSTREAM_URL": upstream.url, **ONE_ARENA}
        with start(kind, **variables) as server:
            samples, report = keep_asking(server, upstream)
            assert report["failures"] == {}
            assert "Traceback" not in server.process.output()
            # Rows of requests that cost nothing are written behind their answers.
            wait_until(lambda: kept.rows(ANSWERED) == [(answered(report),)], timeout=PATIENCE)
            spent = kept.close()
            assert {key: spent[key] for key in ("counted", "limited")} == {key: bill.of(key) for key in ("counted", "limited")}
            ((left, *_),) = kept.rows(ESTIMATED)
            print({"spent": spent, "billed": {key: bill.of(key) for key in spent}, "spent by those who left": left})
            assert left >= bill.of("estimated") / 2
            with books(ledger) as reader:
                (row,) = reader.usage("key", key="counted")
            assert (row.estimated, row.from_cache) == (0, report["cache_hits"])
            assert (row.prompt_tokens, row.completion_tokens) == (bill.prompt_tokens["counted"], bill.completion_tokens["counted"])
            report = kill_while_asking(server)
        with start(kind, **variables) as server, RawClient(server.port, timeout=PATIENCE) as client:
            last = request(PATH, body("paced", "counted after the kill"), ("authorization", f"Bearer {KEYS['counted']}"))
            assert client.exchange(last).status == 200
            spent = kept.close()
        rows = {request_id: tokens for request_id, *tokens in kept.rows(COUNTED)}
        completed = dict(report["completed"])
        assert {request_id: rows.get(request_id) for request_id, words in completed.items() if rows.get(request_id) != [words, words]} == {}
        print({"killed after": report["requests"], "completed": len(completed), "reaped": kept.rows(REAPED), "spent": spent})
        assert 0 <= bill.of("counted") - spent["counted"] <= CLIENTS * MOST_COST
    check_growth(samples)
