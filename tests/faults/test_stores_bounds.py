"""Attackers with a million keys, and clients that do not take no for an answer: nothing grows (docs/promises.md, Bounds)."""

import gc
import multiprocessing
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from completions_mw import Gateway, Request, Settings
from completions_mw.core.keys.secrets import new_token
from tests.faults.crowd import asking
from tests.support.redis_server import RedisServer

QUICK, LONG = 5_000, 1_000_000
MOST_RESIDENT = 4 * 2**20
MOST_IN_REDIS = 2**20
LIMITED, POOR = "sk-canary-client-key", "sk-canary-poor-key"


class Pressure(NamedTuple):
    """What is sent, and the only answer to it."""

    requests: Callable[[int], Iterator[Request]]
    status: int
    code: str
    warm: int = 2_000
    """After so many, all that may be remembered is."""


def unknown_keys(count: int) -> Iterator[Request]:
    return (asking(new_token(), "m") for _ in range(count))


def limited(count: int) -> Iterator[Request]:
    return iter([asking(LIMITED, "m")] * count)


def poor(count: int) -> Iterator[Request]:
    return iter([asking(POOR, "m")] * count)


PRESSURES = {
    "unknown keys": Pressure(unknown_keys, 401, "invalid_api_key", 12_000),
    "a limit": Pressure(limited, 429, "rate_limit_exceeded"),
    "a budget": Pressure(poor, 429, "insufficient_quota"),
}


def settings(url: str, folder: Path) -> Settings:
    model = {"targets": ["local/m"], "prices": {"input": "1000", "output": "2000"}}
    keys = {
        "limited": {"secret": LIMITED, "limits": {"requests": "1/day"}},
        "poor": {"secret": POOR, "budget": {"usd": "0.000001", "period": "total"}},
    }
    stores = {"admission": url, "admission_failure": "closed", "ledger": f"sqlite:///{folder}/ledger.db", "ledger_timeout": 30}
    return Settings.from_mapping({"providers": {"local": {"api": "echo"}}, "models": {"m": model}, "keys": keys, "stores": stores})


def rows(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "ledger.db")) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return sum(connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in tables)


def press(gateway: Gateway, pressure: Pressure, count: int) -> None:
    for request in pressure.requests(count):
        response = gateway.handle(request)
        assert response.status == pressure.status
    assert isinstance(response.body, bytes)
    assert f'"code": "{pressure.code}"'.encode() in response.body.replace(b'":"', b'": "')


def in_redis(server: RedisServer) -> int:
    return int(server.command("INFO", "memory")["used_memory"])


def measure(url: str, folder: Path, name: str, count: int, told: Any) -> None:
    """In a process of its own, whose memory is nobody else's."""
    pressure = PRESSURES[name]
    with Gateway(settings(url, folder)) as gateway:
        gateway.handle(asking(LIMITED, "m"))
        press(gateway, pressure, pressure.warm)
        # Rows of requests without a budget are written behind their answers: whoever asks for the usage has them.
        gateway.usage()
        gc.collect()
        before, stored = psutil.Process().memory_info().rss, rows(folder)
        told.send("warm")
        told.recv()
        press(gateway, pressure, count)
        gc.collect()
        told.send((psutil.Process().memory_info().rss - before, rows(folder) - stored))


@pytest.mark.parametrize("count", [pytest.param(QUICK, id="quick"), pytest.param(LONG, id="long", marks=pytest.mark.soak)])
@pytest.mark.parametrize("name", PRESSURES)
def test_nothing_grows(name: str, count: int, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    with RedisServer() as server:
        url = f"{server.url}?socket_timeout=5"
        worker = context.Process(target=measure, args=(url, tmp_path, name, count, theirs), daemon=True)
        worker.start()
        theirs.close()
        assert ours.recv() == "warm"
        before = in_redis(server)
        ours.send("go on")
        grown, more_rows = ours.recv()
        in_redis_now = in_redis(server)
        worker.join()
    print(f"{count} x {name}: {grown:+} B resident, {in_redis_now - before:+} B in Redis, {more_rows:+} rows")
    assert grown <= MOST_RESIDENT
    assert more_rows == 0
    assert abs(in_redis_now - before) <= MOST_IN_REDIS
