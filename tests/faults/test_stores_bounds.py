"""Attackers with a million keys, and clients that do not take no for an answer: nothing grows (FAULTS FC-85, FC-86)."""

import gc
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from completions_mw import Gateway, Request, Settings
from completions_mw.core.key_secrets import new_token
from tests.faults.crowd import asking
from tests.support.redis_server import RedisServer

QUICK, LONG = 20_000, 1_000_000
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


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def settings(server: RedisServer, folder: Path) -> Settings:
    model = {"targets": ["local/m"], "prices": {"input": "1000", "output": "2000"}}
    keys = {
        "limited": {"secret": LIMITED, "limits": {"requests": "1/day"}},
        "poor": {"secret": POOR, "budget": {"usd": "0.000001", "period": "total"}},
    }
    stores = {"admission": f"{server.url}?socket_timeout=5", "admission_failure": "closed", "ledger": f"sqlite:///{folder}/ledger.db"}
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


@pytest.mark.parametrize("count", [pytest.param(QUICK, id="quick"), pytest.param(LONG, id="long", marks=pytest.mark.soak)])
@pytest.mark.parametrize("pressure", PRESSURES.values(), ids=[*PRESSURES])
def test_nothing_grows(pressure: Pressure, count: int, server: RedisServer, tmp_path: Path) -> None:
    with Gateway(settings(server, tmp_path)) as gateway:
        gateway.handle(asking(LIMITED, "m"))
        press(gateway, pressure, pressure.warm)
        gc.collect()
        before, stored, redis = psutil.Process().memory_info().rss, rows(tmp_path), in_redis(server)
        press(gateway, pressure, count)
        gc.collect()
        grown = psutil.Process().memory_info().rss - before
        print(f"{count} x {pressure.code}: {grown:+} B resident, {in_redis(server) - redis:+} B in Redis, {rows(tmp_path) - stored:+} rows")
        assert grown <= MOST_RESIDENT
        assert rows(tmp_path) == stored
        assert abs(in_redis(server) - redis) <= MOST_IN_REDIS
