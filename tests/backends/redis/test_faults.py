"""A real Redis that fails in every way there is (docs/promises.md, Stores that fail)."""

import asyncio
import logging
import multiprocessing
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from completions_mw.backends.admission import admission_store
from completions_mw.backends.redis.admission import RedisAdmission
from completions_mw.backends.redis.blocking import BlockingRedis
from completions_mw.backends.redis.scripts import Argument, Session
from completions_mw.blocking import run_sync
from completions_mw.core.ports import Lease, StoreError, StoreRefusalError, StoreTimeoutError
from tests.support.admission import PATIENT, AsyncRedisStand, RedisStand, admit, requests, tokens
from tests.support.logs import line
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until

LIMITS = (requests("a"), tokens("b", 100), Lease("c", 1))


@pytest.fixture(params=[RedisStand, AsyncRedisStand], ids=["blocking", "async"])
def stand(request: pytest.FixtureRequest, private_redis: RedisServer) -> Iterator[RedisStand]:
    made = request.param(private_redis)
    yield made
    made.close()


def impatient(stand: RedisStand) -> None:
    """Let the store have the timeout that it has by default."""
    stand.run(stand.store.aclose())
    stand.store = admission_store(stand.server.url, "test", blocking=stand.blocking)


def fails(stand: RedisStand, kind: type[StoreError], text: str) -> None:
    """Check that every step fails in one way, and that nobody learns from it where Redis is."""
    for step in (
        lambda: stand.admit("refused", *LIMITS),
        lambda: stand.finish("refused", 5),
        lambda: stand.renew({"refused": [Lease("c", 1)]}),
    ):
        with pytest.raises(kind, match=text) as caught:
            step()
        assert type(caught.value) is kind
        shown = "".join(traceback.format_exception(caught.value))
        assert str(stand.server.port) not in shown.replace(__file__, "")
        assert "127.0.0.1" not in shown


def test_killed_and_restarted(stand: RedisStand) -> None:
    """See docs/promises.md, Stores that fail."""
    stand.admit("r", *LIMITS)
    stand.server.kill()
    fails(stand, StoreError, "^Redis cannot be reached: ConnectionError$")
    stand.server.start()
    assert stand.admit("new", *LIMITS).admitted


def test_hanging(stand: RedisStand) -> None:
    impatient(stand)
    stand.server.stop()
    fails(stand, StoreTimeoutError, "^Redis did not answer in time")
    stand.server.cont()
    wait_until(lambda: stand.server.command("DBSIZE") == 0)


def test_what_a_hanging_redis_was_asked_is_done_once(stand: RedisStand) -> None:
    """It wakes up and finds the admission and the finish, in any order (docs/promises.md, Stores that fail)."""
    finisher = type(stand)(stand.server)
    for one in (stand, finisher):
        impatient(one)
        wait_until(lambda one=one: _warm(one))  # type: ignore[misc]
    stand.server.stop()
    with pytest.raises(StoreTimeoutError):
        stand.admit("r", *LIMITS)
    with pytest.raises(StoreTimeoutError):
        finisher.finish("r", 30)
    finisher.close()
    stand.server.cont()
    wait_until(lambda: stand.server.command("GET", "{test}:request:r") == b"")
    after = RedisStand(stand.server)
    assert not after.admit("r", *LIMITS).admitted
    admission = after.admit("new", *LIMITS)
    assert admission.admitted
    assert admission.used in ([1, 100], [2, 130])
    after.close()


def _warm(stand: RedisStand) -> bool:
    """Have a connection, and the scripts in Redis."""
    try:
        stand.admit("warm", tokens("warm", 1))
        stand.finish("warm", 1)
    except StoreTimeoutError:
        return False
    return True


def test_paused(stand: RedisStand) -> None:
    """See docs/promises.md, Stores that fail."""
    impatient(stand)
    stand.server.command("CLIENT", "PAUSE", 60_000, "ALL")
    fails(stand, StoreTimeoutError, "^Redis did not answer in time")
    stand.server.restart()


def test_out_of_memory(stand: RedisStand) -> None:
    """Nobody new gets in, but what is held can be given back and kept (docs/promises.md, Stores that fail)."""
    stand.admit("r", *LIMITS)
    stand.admit("no slot", tokens("b", 100))
    stand.server.command("CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(StoreError, match=r"^Redis refused: OutOfMemoryError"):
        stand.admit("new", requests("a"))
    assert stand.renew({"r": [Lease("c", 1)]}) == []
    stand.finish("r", 30)
    stand.finish("no slot", 20)
    stand.server.command("CONFIG", "SET", "maxmemory", "0")
    admission = stand.admit("new", *LIMITS)
    assert admission.admitted
    assert admission.used == [2, 150]


def test_read_only(stand: RedisStand) -> None:
    stand.admit("r", *LIMITS)
    stand.renew({})
    stand.server.command("REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(StoreError, match=r"^Redis refused: ReadOnlyError"):
        stand.admit("new", requests("a"))
    with pytest.raises(StoreError, match=r"^Redis refused: ReadOnlyError"):
        stand.finish("r", 5)
    stand.server.command("REPLICAOF", "NO", "ONE")
    stand.finish("r", 5)
    assert stand.admit("new", *LIMITS).admitted


def test_busy_with_a_script(stand: RedisStand) -> None:
    stand.admit("r", *LIMITS)
    stand.server.command("CONFIG", "SET", "busy-reply-threshold", "1")

    def loop() -> None:
        with pytest.raises(redis.ResponseError):
            stand.server.command("EVAL", "while true do end", 0)

    def busy() -> bool:
        try:
            stand.server.command("PING")
        except redis.ResponseError:
            return True
        return False

    thread = threading.Thread(target=loop)
    thread.start()
    wait_until(busy)
    fails(stand, StoreError, "^Redis refused: ResponseError BUSY$")
    stand.server.command("SCRIPT", "KILL")
    thread.join()
    stand.finish("r", 5)


@pytest.mark.parametrize("name", ["window:a", "window:b", "slot:c", "request:new"])
def test_keys_of_a_wrong_type(stand: RedisStand, name: str) -> None:
    """Nothing is changed, not even by half; and it is about one caller, not about Redis."""
    stand.server.command("RPUSH", f"{{test}}:{name}", "theirs")
    with pytest.raises(StoreRefusalError, match=r"^Redis holds something else"):
        stand.admit("new", *LIMITS)
    assert stand.server.command("KEYS", "*") == [f"{{test}}:{name}".encode()]


@pytest.mark.parametrize(
    "record", [b"\xff theirs", b"theirs", b"5", b"\x93\x93\x01\x02\x03\x90\x90", b"\x93\x91\xa1a\x90\x90", b"\x91\x01", b"\x93\x01\x01\x01"]
)
def test_a_record_that_is_not_ours(stand: RedisStand, record: bytes) -> None:
    """It is no verdict, nor part of one, and it is about one request."""
    stand.server.command("SET", "{test}:request:new", record)
    with pytest.raises(StoreError):
        stand.admit("new", *LIMITS)
    stand.server.command("SET", "{test}:request:other", record)
    stand.admit("good", *LIMITS)
    assert stand.renew({"good": [Lease("c", 1)], "other": []}) == []


GARBAGE = ["1e300", "nan", "inf", "-1", "1.5", "9" * 30, "0x10", " 7", "", "theirs"]


@pytest.mark.parametrize("garbage", GARBAGE)
def test_a_counter_that_something_else_wrote(stand: RedisStand, garbage: str) -> None:
    """Nothing is charged, no lease of others is harmed, and the counter is left as it was."""
    stand.admit("before", *LIMITS[1:])
    stand.server.command("HSET", "{test}:window:a", "start", "1.1", "used", garbage)
    with pytest.raises(StoreRefusalError, match=r"^Redis holds something else"):
        stand.admit("new", *LIMITS)
    stand.server.command("HSET", "{test}:window:b", "used", garbage)
    assert stand.renew({"before": [Lease("c", 1)]}) == []
    stand.finish("before", 5)
    assert stand.server.command("HGET", "{test}:window:a", "used") == garbage.encode()
    assert stand.admit("after", Lease("c", 1)).admitted


def test_a_slot_that_something_else_wrote_ends_no_lease(stand: RedisStand) -> None:
    stand.admit("mine", Lease("c", 1), Lease("d", 1))
    stand.server.command("DEL", "{test}:slot:d")
    stand.server.command("SET", "{test}:slot:d", "theirs")
    stand.admit("other", Lease("e", 1))
    assert stand.renew({"mine": [Lease("c", 1), Lease("d", 1)], "other": [Lease("e", 1)]}) == []
    stand.finish("mine", None)
    assert stand.admit("new", Lease("c", 1)).admitted


@pytest.mark.parametrize(
    ("credentials", "text"),
    [("", "^Redis cannot be reached: AuthenticationError$"), (":canary-password@", "^Redis cannot be reached: AuthenticationError$")],
    ids=["no password", "wrong password"],
)
@pytest.mark.parametrize("blocking", [True, False], ids=["blocking", "async"])
def test_wrong_credentials(credentials: str, text: str, blocking: bool) -> None:
    with RedisServer("--requirepass", "right") as server:
        address = f"redis://{credentials}127.0.0.1:{server.port}{PATIENT.replace('?', '/0?')}"
        store = admission_store(address, "test", blocking=blocking)
        with pytest.raises(StoreError, match=text) as caught:
            (run_sync if blocking else asyncio.run)(store.check())
        assert "canary" not in "".join(traceback.format_exception(caught.value))
        good = admission_store(address.replace("canary-password", "right"), "test", blocking=blocking)
        if credentials:
            assert (run_sync if blocking else asyncio.run)(_check_and_close(good)) == []


async def _check_and_close(store: Any) -> list[str]:
    warnings: list[str] = await store.check()
    await store.aclose()
    return warnings


@pytest.mark.parametrize("blocking", [True, False], ids=["blocking", "async"])
def test_tls_where_there_is_none(private_redis: RedisServer, blocking: bool) -> None:
    """Redis waits for the rest of what it takes for a command."""
    store = admission_store(private_redis.url.replace("redis:", "rediss:"), "test", blocking=blocking)
    with pytest.raises(StoreTimeoutError):
        (run_sync if blocking else asyncio.run)(store.check())


@pytest.mark.parametrize("reset", ["restart", "SCRIPT FLUSH"])
def test_forgotten_scripts_are_loaded_again_and_the_operator_is_told_once(
    stand: RedisStand, caplog: pytest.LogCaptureFixture, reset: str
) -> None:
    """See docs/promises.md, Stores that fail."""
    caplog.set_level(logging.WARNING, "completions_mw")

    def use(name: str) -> None:
        assert stand.admit(name, *LIMITS).admitted
        assert stand.renew({name: [Lease("c", 1)]}) == []
        stand.finish(name, 5)

    use("r1")
    assert caplog.messages == []
    for name in ("r2", "r3"):
        if reset == "restart":
            stand.server.restart()
        else:
            stand.server.command("SCRIPT", "FLUSH")
        use(name)
    assert [line(record) for record in caplog.records] == [{"event": "store_reset", "store": "admission"}]


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl", "noeviction"])
def test_a_redis_that_evicts_is_warned_of(stand: RedisStand, policy: str) -> None:
    """See docs/promises.md, Stores that fail."""
    stand.server.command("CONFIG", "SET", "maxmemory-policy", policy)
    warnings = stand.run(stand.store.check())
    assert [policy in warning for warning in warnings] == ([] if policy == "noeviction" else [True])


def test_a_redis_that_does_not_tell_is_warned_of(stand: RedisStand) -> None:
    stand.server.command("ACL", "SETUSER", "default", "-info")
    (warning,) = stand.run(stand.store.check())
    assert "does not tell" in warning


class AtInfo:
    """A session that does something to Redis before it asks it how it is set up."""

    def __init__(self, session: Session, act: Callable[[], None]) -> None:
        self.aclose = session.aclose
        self._session = session
        self._act = act

    async def call(self, *command: Argument) -> Any:
        if command[0] == "INFO":
            self._act()
        return await self._session.call(*command)


@pytest.mark.parametrize(("act", "kind"), [(RedisServer.stop, StoreTimeoutError), (RedisServer.kill, StoreError)], ids=["hangs", "is gone"])
def test_a_redis_that_is_lost_while_it_is_asked_has_not_said_that_it_does_not_tell(
    private_redis: RedisServer, act: Callable[[RedisServer], None], kind: type[StoreError]
) -> None:
    """Whoever asks shall ask again."""
    session = AtInfo(BlockingRedis(f"{private_redis.url}?socket_timeout=0.5"), lambda: act(private_redis))
    with pytest.raises(kind) as caught:
        run_sync(RedisAdmission(session, "test").check())
    assert type(caught.value) is kind


def _serve(url: str, name: int, gate: Any, counts: Any) -> None:
    store = admission_store(url + PATIENT, "test", blocking=True)
    admitted: list[str] = []
    held: list[int] = []

    def worker(thread: int) -> None:
        for number in range(10):
            request_id = f"{name}-{thread}-{number}"
            if run_sync(admit(store, request_id, requests("a", limit=200))).admitted:
                admitted.append(request_id)
            verdict = run_sync(admit(store, f"{request_id}!", tokens("b", 10, limit=10**6), Lease("c", 10)))
            if verdict.admitted:
                held.append(verdict.held[0])
                run_sync(store.finish(f"{request_id}!", 3))

    threads = [threading.Thread(target=worker, args=(thread,)) for thread in range(12)]
    gate.wait()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run_sync(store.aclose())
    counts.put((len(admitted), len(held), max(held, default=0)))


@pytest.mark.soak
def test_processes_and_threads_share_limits_exactly(redis_server: RedisServer) -> None:
    """48 threads in 4 processes (docs/promises.md, Limits)."""
    context = multiprocessing.get_context("spawn")
    gate, counts = context.Barrier(4), context.SimpleQueue()
    children = [context.Process(target=_serve, args=(redis_server.url, name, gate, counts)) for name in range(4)]
    for child in children:
        child.start()
    results = [counts.get() for _ in children]
    for child in children:
        child.join()
    assert sum(admitted for admitted, _, _ in results) == 200
    assert max(most for _, _, most in results) <= 9
    stand = RedisStand(redis_server)
    last = stand.admit("last", requests("a", limit=0), tokens("b", 0), Lease("c", 10))
    assert [*last.used, *last.held] == [200, 3 * sum(held for _, held, _ in results), 0]
    stand.close()
