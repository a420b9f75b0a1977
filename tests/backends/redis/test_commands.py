"""What an admission store sends to Redis, and what it keeps there."""

from typing import Any

import pytest
from redis.crc import key_slot

from completions_mw.backends.admission import admission_store
from completions_mw.blocking import run_sync
from completions_mw.core.ports import Lease
from completions_mw.errors import ConfigurationError
from tests.backends.redis.conftest import Runner
from tests.support.admission import LEASE_MS, PATIENT, admit, requests, tokens
from tests.support.redis_server import RedisServer


def test_an_admission_and_a_finish_are_one_round_trip_each(redis_server: RedisServer, runner: Runner[Any]) -> None:
    store = admission_store(redis_server.url + PATIENT, "test", blocking=runner is run_sync)

    async def serve(request_id: str) -> None:
        rates = requests("a"), requests("b"), tokens("c", 10), tokens("d", 10)
        await admit(store, request_id, *rates, Lease("e", 5), Lease("f", 5))
        await store.renew({request_id: [Lease("e", 5), Lease("f", 5)]}, LEASE_MS)
        await store.finish(request_id, 5)

    runner(serve("warm"))
    with redis_server.monitor() as monitor:
        runner(serve("r1"))
        runner(serve("r2"))
        assert [command.split()[0] for command in monitor.commands()] == ["EVALSHA"] * 6
    runner(store.aclose())


def test_all_names_are_in_one_slot_of_a_cluster(redis_server: RedisServer, runner: Runner[Any]) -> None:
    store = admission_store(redis_server.url + PATIENT, "app", blocking=runner is run_sync)
    runner(admit(store, "{r}", requests("{a}"), tokens("}b{", 10), Lease("{}", 5)))
    names = redis_server.command("KEYS", "*")
    assert sorted(names) == [b"{app}:request:{r}", b"{app}:slot:{}", b"{app}:window:{a}", b"{app}:window:}b{"]
    assert len({key_slot(name) for name in names}) == 1
    runner(store.aclose())


def test_every_key_ends_by_itself(redis_server: RedisServer, runner: Runner[Any]) -> None:
    store = admission_store(redis_server.url + PATIENT, "app", blocking=runner is run_sync)
    runner(admit(store, "r1", requests("a"), tokens("b", 10), Lease("c", 5)))
    runner(admit(store, "r2", requests("a"), tokens("b", 10), Lease("c", 5)))
    runner(store.renew({"r3": [Lease("d", 1)]}, LEASE_MS))
    runner(store.finish("r2", 1))
    assert all(0 < redis_server.command("PTTL", name) <= 60_000 for name in redis_server.command("KEYS", "*"))
    runner(store.aclose())


def test_a_refusal_writes_nothing(redis_server: RedisServer, runner: Runner[Any]) -> None:
    """See docs/promises.md, Bounds."""
    store = admission_store(redis_server.url + PATIENT, "app", blocking=runner is run_sync)
    runner(admit(store, "r", requests("a", limit=0), tokens("b", 10), Lease("c", 5)))
    assert redis_server.command("DBSIZE") == 0
    runner(store.aclose())


@pytest.mark.parametrize(
    "address",
    [
        "redis://secret.host:1/0?nonsense=1",
        "redis://secret.host:1/0?socket_timeout=x",
        "redis://secret.host:99999",
        "rediss://secret.host:1/0?ssl_ca_certs=/secret/none",
    ],
    ids=["unknown option", "wrong value", "port", "no certificates"],
)
@pytest.mark.parametrize("blocking", [True, False], ids=["blocking", "async"])
def test_an_address_that_cannot_work_is_refused_at_construction(address: str, blocking: bool) -> None:
    with pytest.raises(ConfigurationError, match=r"^stores\.admission: ") as caught:
        admission_store(address, "test", blocking=blocking)
    assert "secret" not in str(caught.value)
