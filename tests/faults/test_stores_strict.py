"""Stores that are checked when a gateway is built, where the settings ask for it, and warned of where they do not (docs/promises.md)."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from completions_mw import AsyncGateway, ConfigurationError, Gateway, Settings
from tests.faults.crowd import asking, every_crowd, recovers
from tests.support.logs import line
from tests.support.process import free_port
from tests.support.redis_server import RedisServer

KEY = "sk-canary-client-key"
EVICTS = "stores.admission: Redis has the maxmemory-policy allkeys-lru; it should be noeviction, or limits may be forgotten"
PASSWORD = "canary-store-password"

every_gateway = pytest.mark.parametrize("kind", [Gateway, AsyncGateway], ids=["blocking", "async"])


@pytest.fixture
def evicting() -> Iterator[RedisServer]:
    with RedisServer("--maxmemory-policy", "allkeys-lru") as server:
        yield server


def settings(**stores: Any) -> Settings:
    keys = {"client": {"secret": KEY, "limits": {"requests": "1000/hour", "concurrency": 5}}}
    return Settings.from_mapping({"keys": keys, "stores": stores, "cache": {"enabled": True}})


@every_gateway
def test_a_redis_that_evicts_is_refused(kind: type[Any], evicting: RedisServer) -> None:
    """No connection is left for a fork to share."""
    checked = settings(admission=f"{evicting.url}?socket_timeout=5", strict=True)
    with pytest.raises(ConfigurationError) as caught:
        kind(checked, models={"m": str})
    assert str(caught.value) == EVICTS
    evicting.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    kind(checked, models={"m": str})
    recovers(lambda: evicting.command("INFO", "clients")["connected_clients"] == 1)


@every_gateway
def test_a_spool_that_cannot_be_written_is_refused(kind: type[Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^stores\.spool: its folder is not there, or cannot be written to$"):
        kind(settings(strict=True, ledger="memory://", spool=f"{tmp_path}/none/spool.jsonl"), models={"m": str})
    kind(settings(strict=True, ledger="memory://", spool=f"{tmp_path}/spool.jsonl"), models={"m": str})


@pytest.mark.parametrize("store", ["redis", "cache", "postgresql", "sqlite"])
@every_gateway
def test_a_store_that_does_not_answer_is_refused(kind: type[Any], store: str, tmp_path: Path) -> None:
    corrupt = tmp_path / "ledger.db"
    corrupt.write_bytes(b"\xff" * 8192)
    port = free_port()
    stores = {
        "redis": {"admission": f"redis://:{PASSWORD}@127.0.0.1:{port}/0"},
        "cache": {"cache": f"redis://:{PASSWORD}@127.0.0.1:{port}/0"},
        "postgresql": {"ledger": f"postgresql://user:{PASSWORD}@127.0.0.1:{port}/db"},
        "sqlite": {"ledger": f"sqlite:///{corrupt}"},
    }[store]
    with pytest.raises(ConfigurationError, match=rf"^stores\.{next(iter(stores))}: ") as caught:
        kind(settings(strict=True, **stores), models={"m": str})
    for hidden in (PASSWORD, str(port), "127.0.0.1", str(tmp_path)):
        assert hidden not in str(caught.value)
    assert corrupt.read_bytes() == b"\xff" * 8192
    kind(settings(**stores), models={"m": str})


@every_crowd
def test_otherwise_the_operator_is_warned_once(kind: type[Any], evicting: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    may_end = threading.Event()

    def held(_: object) -> Iterator[str]:
        yield "one"
        assert may_end.wait(60)

    def warnings() -> list[Any]:
        lines = [line(record) for record in caplog.records if record.name == "completions_mw"]
        return [line for line in lines if line["event"] == "store_warning"]

    def scripts() -> int:
        return int(evicting.command("INFO", "commandstats")["cmdstat_evalsha"]["calls"])

    checked = settings(admission=f"{evicting.url}?socket_timeout=5", lease_ttl=1)
    with caplog.at_level(logging.WARNING, "completions_mw"), kind(checked, models={"held": held}) as crowd:
        running = crowd.begin(asking(KEY, "held", stream=True))
        recovers(lambda: bool(warnings()))
        # Each renewal of its lease is another turn of what has warned.
        before = scripts()
        recovers(lambda: scripts() >= before + 3)
        may_end.set()
        assert running.rest().is_complete
    assert warnings() == [{"event": "store_warning", "text": EVICTS}]
