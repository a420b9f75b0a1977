"""Gateways that share a Redis share answers and calls (docs/caching.md). Each gateway stands for a process: it has flights of its own."""

import gc
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from completions_mw.http import Headers
from tests.support.admission import PATIENT
from tests.support.cached_gateways import CachedGateway, HeldModel, Made
from tests.support.grammar import check_stream
from tests.support.logs import line
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until


@pytest.fixture
def made() -> Iterator[Made]:
    def make(kind: str, server: RedisServer, model: HeldModel, patient: str = PATIENT, **cache: Any) -> CachedGateway:
        tree = {"cache": {"when": "always", **cache}, "stores": {"cache": server.url + patient}}
        return opened.enter_context(CachedGateway(kind, {"m": model}, **tree))

    with ExitStack() as opened:
        yield make


@pytest.fixture(params=["blocking", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def leases(server: RedisServer) -> list[bytes]:
    found: list[bytes] = server.command("KEYS", "completions_mw:flight:*")
    return found


def test_processes_share_answers_in_both_forms(made: Made, kind: str, redis_server: RedisServer) -> None:
    model = HeldModel()
    one, other = made(kind, redis_server, model), made("blocking" if kind == "async" else "async", redis_server, model)
    original = one.send(stream=True).read()
    whole, stream = other.send(), other.send(stream=True)
    assert [(reply.cache, reply.headers["age"]) for reply in (whole, stream)] == [("hit", "0")] * 2
    assert stream.read() == original
    assert whole.text == "one two 1"
    assert leases(redis_server) == []


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_processes_share_one_call(made: Made, kind: str, stream: bool, redis_server: RedisServer) -> None:
    model = HeldModel(held=1)
    gateways = [made(kind, redis_server, model), *(made(each, redis_server, model) for each in ("blocking", "async"))]
    leader = gateways[0].later(stream=stream)
    wait_until(lambda: len(leases(redis_server)) == 1)
    others = [gateway.later(stream=not stream) for gateway in gateways for _ in range(3)]
    for gateway, requests in zip(gateways, (4, 3, 3), strict=True):
        gateway.wait_for_requests(requests)
    model.release()
    assert leader.result().cache == "miss"
    leader.result().read()
    replies = [other.result() for other in others]
    assert {reply.cache for reply in replies} == {"coalesced"}
    assert len({reply.read() for reply in replies}) == 1
    assert (model.calls, leases(redis_server)) == (1, [])


def test_a_process_takes_over_from_a_dead_one(made: Made, kind: str, redis_server: RedisServer) -> None:
    dead, alive = HeldModel(held=1), HeldModel()
    first = made(kind, redis_server, dead, lease_ttl=300)
    leader = first.send(stream=True)
    next(leader.pieces)
    second = made(kind, redis_server, alive)
    follower = second.later()
    second.wait_for_requests(1)
    [lease] = leases(redis_server)
    redis_server.command("DEL", lease)
    assert (follower.result().cache, follower.result().text) == ("miss", "one two 1")
    assert (dead.calls, alive.calls) == (1, 1)
    leader.close()
    dead.release()


@pytest.mark.parametrize("headers", [(), (("x-request-timeout-ms", "60000"),)], ids=["too long", "has a deadline"])
def test_nobody_waits_for_another_process_for_ever(made: Made, kind: str, headers: Headers, redis_server: RedisServer) -> None:
    gateway = made(kind, redis_server, HeldModel(), max_wait=20 if headers else 0.01)
    gateway.send().read()
    [name] = redis_server.command("KEYS", "completions_mw:answer:*")
    gateway.call(gateway.gateway.cache.purge)
    redis_server.command("SET", name.replace(name.rpartition(b":")[0], b"completions_mw:flight"), "somebody", "PX", 60_000)
    assert (gateway.send(headers=headers).cache, gateway.send(headers=headers).cache) == ("miss", "hit")


def test_a_lease_is_renewed(made: Made, kind: str, redis_server: RedisServer) -> None:
    gateway = made(kind, redis_server, model := HeldModel(held=1), lease_ttl=1)
    leader = gateway.send(stream=True)
    next(leader.pieces)
    [lease] = leases(redis_server)
    redis_server.command("PEXPIRE", lease, 100_000)
    wait_until(lambda: 0 < redis_server.command("PTTL", lease) <= 1000)
    model.release()
    leader.read()
    assert leases(redis_server) == []


@pytest.mark.parametrize("pieces", [1, 2])
def test_a_stream_that_everybody_leaves_gives_its_lease_back(made: Made, kind: str, pieces: int, redis_server: RedisServer) -> None:
    model = HeldModel(held=pieces)
    one, other = (made(each, redis_server, model) for each in (kind, kind))
    leader, follower = one.send(stream=True), one.send(stream=True)
    for reply in (leader, follower):
        for _ in range(pieces):
            next(reply.pieces)
        reply.close()
    assert leases(redis_server) == []
    model.release()
    assert [gateway.send().cache for gateway in (other, one)] == ["miss", "hit"]


def test_the_lease_of_a_dropped_stream_expires(made: Made, redis_server: RedisServer) -> None:
    gateway = made("blocking", redis_server, model := HeldModel(held=1), lease_ttl=1)
    leader = gateway.send(stream=True)
    next(leader.pieces)
    assert len(leases(redis_server)) == 1
    del leader
    gc.collect()
    model.release()
    assert gateway.send().cache == "miss"
    assert (model.calls, leases(redis_server)) == (2, [])


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_nobody_takes_turns_for_an_answer_that_is_not_stored(made: Made, kind: str, stream: bool, redis_server: RedisServer) -> None:
    model = HeldModel("one", {"finish_reason": "length"})
    one, other = (made(each, redis_server, model) for each in (kind, kind))
    assert [gateway.send(stream=stream).read() != b"" for gateway in (one, other, one)] == [True] * 3
    assert (model.calls, [redis_server.command("GET", lease) for lease in leases(redis_server)]) == (3, [b"open"])


def test_a_redis_that_is_down_is_passed_by(made: Made, kind: str, private_redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    model = HeldModel()
    gateway = made(kind, private_redis, model, patient="")
    assert gateway.send().text == "one two 1"
    private_redis.kill()
    for index in range(8):
        reply = gateway.send(stream=index % 2 == 0)
        assert (reply.status, reply.cache) == (200, "bypass")
        reply.read()
    lines = [line(record) for record in caplog.records if record.getMessage() == "store_degraded"]
    assert [(one["store"], one["policy"]) for one in lines] == [("cache", "bypass")]
    [snapshot] = [store for store in gateway.gateway.stores if store.store == "cache"]
    assert snapshot.open


def test_a_redis_that_dies_fails_nobody(made: Made, kind: str, private_redis: RedisServer) -> None:
    model = HeldModel(held=1)
    gateways = [made(each, private_redis, model, patient="") for each in (kind, kind)]
    leader = gateways[0].later(stream=True)
    wait_until(lambda: len(leases(private_redis)) == 1)
    followers = [gateway.later(stream=True) for gateway in gateways for _ in range(2)]
    gateways[1].wait_for_requests(2)
    private_redis.kill()
    model.release()
    replies = [reply.result() for reply in (leader, *followers)]
    assert [reply.status for reply in replies] == [200] * 5
    for reply in replies:
        check_stream(reply.read())
    assert model.calls == 2


def test_a_value_that_was_changed_is_a_miss(made: Made, kind: str, redis_server: RedisServer) -> None:
    model = HeldModel()
    gateway = made(kind, redis_server, model)
    gateway.send().read()
    [name] = redis_server.command("KEYS", "completions_mw:answer:*")
    value = redis_server.command("GET", name)
    redis_server.command("SET", name, value.replace(b"one two", b"evil!!!"), "PX", 60_000)
    assert json.loads(gateway.send().read())["choices"][0]["message"]["content"] == "one two 2"
    assert gateway.send().cache == "hit"


def test_answers_of_redis_are_kept_in_memory_for_a_while(made: Made, kind: str, redis_server: RedisServer) -> None:
    model = HeldModel()
    one, other = (made(kind, redis_server, model, ttl=60, memory_ttl=30) for _ in range(2))
    one.send().read()
    [name] = redis_server.command("KEYS", "completions_mw:answer:*")
    redis_server.command("PEXPIRE", name, 50_000)
    replies = [other.send()]
    redis_server.flush()
    replies += [other.send(), one.send(stream=True)]
    assert [(reply.cache, reply.headers["age"]) for reply in replies] == [("hit", "10"), ("hit", "10"), ("hit", "0")]
    assert other.call(other.gateway.cache.purge) == 0
    assert other.send().cache == "miss", "a purge empties the memory of its own process too"
