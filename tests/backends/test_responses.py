"""What every store of cached answers does: one suite, on memory and on Redis, blocking and async (docs/caching.md)."""

import pickle
import zlib
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from completions_mw.backends.redis.answer_values import ForeignValueError, SoundValues, pack, unpack
from completions_mw.backends.redis.responses import RedisResponses
from completions_mw.core.ports import Claim, PurgeFilter, StoredAnswer
from tests.support.logs import line
from tests.support.redis_server import RedisServer
from tests.support.response_stores import MAX_BYTES, AsyncRedisStore, MemoryStore, RedisStore, StoreStand, answer, key, vectors

TTL_MS = 60_000


@pytest.fixture(params=["memory", "redis-blocking", "redis-async"])
def stand(request: pytest.FixtureRequest) -> Iterator[StoreStand]:
    made: StoreStand
    if request.param == "memory":
        made = MemoryStore()
    else:
        server = request.getfixturevalue("redis_server")
        made = RedisStore(server) if request.param == "redis-blocking" else AsyncRedisStore(server)
    yield made
    made.close()


@pytest.fixture
def shared(redis_server: RedisServer) -> Iterator[RedisStore]:
    made = RedisStore(redis_server)
    yield made
    made.close()


def got(stand: StoreStand, name: str = "a", scope: str = "tenant:a", model: str = "m") -> StoredAnswer | None:
    found = stand.run(stand.store.get(key(name, scope, model)))
    return None if found is None else found.answer


def put(stand: StoreStand, name: str = "a", text: str = "Hello!", scope: str = "tenant:a", model: str = "m") -> StoredAnswer:
    stored = answer(text)
    stand.run(stand.store.put(key(name, scope, model), stored, TTL_MS))
    return stored


def test_what_was_stored_is_found_to_the_byte_until_it_expires(stand: StoreStand) -> None:
    assert got(stand) is None
    small, large = put(stand), put(stand, "b", "caf\u00e9 \U0001f600 " * 5000)
    assert (got(stand), got(stand, "b")) == (small, large)
    stand.advance(59)
    found = stand.run(stand.store.get(key()))
    assert found is not None
    assert 59_000 <= found.age_ms < 60_000
    stand.advance(1)
    assert got(stand) is None


def test_embeddings_are_found_too(stand: StoreStand) -> None:
    stored = vectors()
    stand.run(stand.store.put(key(), stored, TTL_MS))
    assert got(stand) == stored


def test_a_newer_answer_replaces_an_older_one(stand: StoreStand) -> None:
    put(stand)
    stand.advance(30)
    newer = put(stand, text="Newer.")
    stand.advance(40)
    assert got(stand) == newer


def test_purges_select_by_scope_and_model(stand: StoreStand) -> None:
    for number, (scope, model) in enumerate([("tenant:a", "m"), ("tenant:a", "n"), ("tenant:b", "m"), ("key:a", "m*")]):
        put(stand, str(number), scope=scope, model=model)
    purge = stand.store.purge
    assert stand.run(stand.store.contents()).entries == 4
    assert stand.run(purge(PurgeFilter(("tenant:*",), None))) == 0
    assert stand.run(purge(PurgeFilter(("tenant:a", "key:a"), "m"))) == 1
    assert stand.run(purge(PurgeFilter(None, "n"))) == 1
    assert stand.run(purge(PurgeFilter(("key:a",), None))) == 1
    left = stand.run(stand.store.contents())
    assert left.entries == 1
    assert 0 < left.bytes < 2000
    assert stand.run(purge(PurgeFilter())) == 1
    assert stand.run(stand.store.contents()) == (0, 0)


names = st.text(max_size=8)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.tuples(names, names, st.binary(min_size=32, max_size=32)), st.text(max_size=20), max_size=6))
def test_nobody_sees_the_answer_of_another_scope(stand: StoreStand, entries: dict[tuple[str, str, bytes], str]) -> None:
    stand.run(stand.store.purge(PurgeFilter()))
    keys = {(scope, model, digest): key()._replace(scope=scope, model=model, digest=digest) for scope, model, digest in entries}
    distinct = {digest: owner for owner in keys for digest in [owner[2]]}
    for owner in distinct.values():
        stand.run(stand.store.put(keys[owner], answer(entries[owner]), TTL_MS))
    for owner in distinct.values():
        found = stand.run(stand.store.get(keys[owner]))
        assert found is not None
        assert found.answer == answer(entries[owner])


# Memory


def test_memory_is_bounded_and_drops_what_was_used_least_recently() -> None:
    one = answer("x" * 1000).size
    stand = MemoryStore(max_bytes=20 * one)
    for number in range(30):
        put(stand, str(number), "x" * 1000)
        assert got(stand, "0") is not None
        assert stand.run(stand.store.contents()).bytes <= 20 * one
    assert got(stand, "1") is None
    put(stand, "huge", "x" * 100_000)
    assert got(stand, "huge") is None
    assert got(stand, "0") is not None


# Redis


def altered(**texts: bytes) -> bytes:
    """Return the value of an answer with other texts."""
    good = answer()
    return pack(
        key().digest, StoredAnswer.of(**{"body": good.body, "chunks": good.chunks, "usage": good.usage, **texts}, target="up/m"), TTL_MS, 0
    )


POISON: dict[str, bytes] = {
    "text": b"hello",
    "json": b'{"choices": []}',
    "pickle": pickle.dumps(answer()),
    "other version": pack(key().digest, answer(), TTL_MS, 0).replace(b"answer-1", b"answer-0"),
    "of another key": pack(b"x" * 32, answer(), TTL_MS, 0),
    "cut": pack(key().digest, answer(), TTL_MS, 10**6)[:-1],
    "longer": pack(key().digest, answer(), TTL_MS, 10**6) + b"x",
    "no chunks": altered(chunks=b"")[:100],
    "bad JSON": altered(body=b"{"),
    "no completion": altered(body=b"{}"),
    "bad chunk": altered(chunks=b"data: {\n\n"),
    "bad usage": altered(usage=b'data: {"choices":[]}\n\n'),
    "no text": pack(key().digest, answer(), TTL_MS, 10**6).replace(b"up/m", b"\xff\xff\xff\xff"),
    "bomb": pack(key().digest, answer(), TTL_MS, 10**6)[:62] + zlib.compress(bytes(10**8), 9),
    "large": bytes(3 * MAX_BYTES),
    **{f"choices {wrong!r}": altered(body=b'{"choices":%b}' % wrong) for wrong in (b'"x"', b"[1]")},
    **{f"chunk {wrong!r}": altered(chunks=b'data: {"choices":%b}\n\n' % wrong) for wrong in (b'"x"', b"[1]")},
    **{f"usage {wrong!r}": altered(usage=b'data: {"usage":%b}\n\n' % wrong) for wrong in (b"5", b'"x"', b"[1]", b'{"prompt_tokens":1}')},
    "nested too deeply": altered(body=b'{"choices":' + b"[" * 5000),
}


@pytest.mark.parametrize("value", POISON.values(), ids=POISON)
def test_a_value_that_is_not_ours_is_a_miss_and_is_removed(shared: RedisStore, value: bytes, caplog: pytest.LogCaptureFixture) -> None:
    put(shared)
    [name] = shared.server.command("KEYS", "*")
    shared.server.command("SET", name, value, "PX", TTL_MS)
    assert got(shared) is None
    assert shared.server.command("EXISTS", name) == 0
    assert [line(record) for record in caplog.records] == [{"event": "cache_value_refused", "store": "cache", "model": "m"}]
    stored = put(shared)
    assert got(shared) == stored


def test_a_key_of_another_type_is_a_miss(shared: RedisStore) -> None:
    put(shared)
    [name] = shared.server.command("KEYS", "*")
    shared.server.command("DEL", name)
    shared.server.command("HSET", name, "a", "b")
    assert got(shared) is None
    assert shared.run(shared.store.claim(key(), "me", TTL_MS)).is_leased
    assert put(shared) == got(shared)


def test_a_value_that_never_expires_is_not_ours(shared: RedisStore) -> None:
    put(shared)
    [name] = shared.server.command("KEYS", "*")
    shared.server.command("PERSIST", name)
    assert got(shared) is None
    put(shared)
    shared.server.command("PERSIST", name)
    assert shared.run(shared.store.claim(key(), "me", TTL_MS)).is_leased, "nobody waits for it"


def test_names_in_redis_hold_no_text_of_a_caller(shared: RedisStore) -> None:
    put(shared, scope="tenant:canary-1", model="canary-2*")
    [name] = shared.server.command("KEYS", "*")
    assert b"canary" not in name


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_changed_value_is_never_another_answer(data: st.DataObject) -> None:
    value = bytearray(pack(key().digest, answer(), TTL_MS, data.draw(st.sampled_from([0, 10**6]))))
    sound = SoundValues()
    assert unpack(key().digest, bytes(value), MAX_BYTES, sound)[0] == answer()
    at = data.draw(st.integers(0, len(value) - 1))
    value[at] ^= data.draw(st.integers(1, 255))
    # Bytes that say nothing of the texts may differ: the lifetime tells the age alone, and zlib notes how hard it has tried.
    with suppress(ForeignValueError):
        assert unpack(key().digest, bytes(value), MAX_BYTES, sound)[0] == answer()


def test_one_process_at_a_time_holds_the_lease(shared: RedisStore) -> None:
    store: RedisResponses = shared.store
    assert shared.run(store.claim(key(), "me", 5000)) == Claim(is_granted=True, is_leased=True)
    assert shared.run(store.claim(key(), "me", 5000)) == Claim(is_granted=True, is_leased=True), "a call that was sent twice"
    assert shared.run(store.claim(key(), "you", 5000)) == Claim()
    assert shared.run(store.claim(key("b"), "you", 5000)).is_leased
    shared.advance(4)
    shared.run(store.renew({key(): "me", key("b"): "somebody"}, 5000))
    shared.advance(4)
    assert shared.run(store.claim(key(), "you", 5000)) == Claim()
    assert shared.run(store.claim(key("b"), "me", 5000)).is_leased, "only its owner renews a lease"
    shared.run(store.release(key(), "you", 0))
    assert shared.run(store.claim(key(), "you", 5000)) == Claim()
    shared.run(store.release(key(), "me", 0))
    assert shared.run(store.claim(key(), "you", 5000)).is_leased


@pytest.mark.parametrize("words", [("SET", "somebody"), ("SET", "open"), ("LPUSH", "somebody")], ids=str)
def test_a_lease_that_never_ends_is_nobodys(shared: RedisStore, words: tuple[str, str]) -> None:
    shared.run(shared.store.claim(key(), "somebody", 5000))
    [name] = shared.server.command("KEYS", "*")
    shared.server.command("DEL", name)
    shared.server.command(words[0], name, words[1])
    assert shared.run(shared.store.claim(key(), "me", 5000)).is_leased


def test_who_waits_is_given_the_answer(shared: RedisStore) -> None:
    shared.run(shared.store.claim(key(), "me", 5000))
    stored = put(shared)
    claim = shared.run(shared.store.claim(key(), "you", 5000))
    assert claim.found is not None
    assert claim.found.answer == stored
    assert not claim.is_granted


def test_nobody_waits_for_an_answer_that_is_not_stored(shared: RedisStore) -> None:
    shared.run(shared.store.claim(key(), "me", 5000))
    shared.run(shared.store.release(key(), "me", 3000))
    assert [shared.run(shared.store.claim(key(), owner, 5000)) for owner in "ab"] == [Claim(is_granted=True)] * 2
    shared.advance(3)
    assert shared.run(shared.store.claim(key(), "a", 5000)).is_leased
