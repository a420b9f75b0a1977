"""Connections to Redis: whose answers they give, how many there are, and what becomes of them."""

import asyncio
import multiprocessing
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from shutil import which
from typing import Any, TypeVar

import psutil
import pytest
from redis.connection import Connection
from redis.crc import key_slot
from redis.exceptions import NoScriptError

from completions_mw.backends.admission import admission_store
from completions_mw.backends.batches.queue import MAX_BATCH
from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.memory.admission import MemoryAdmission
from completions_mw.backends.redis import session
from completions_mw.backends.redis.asynchronous import AsyncRedis
from completions_mw.backends.redis.blocking import BlockingRedis
from completions_mw.blocking import run_sync
from completions_mw.core.limits.guarded_store import GuardedAdmission
from completions_mw.core.ports import Admission, Lease, StoreError, StoreRefusalError, StoreTimeoutError
from completions_mw.core.resilience.store_health import StoreHealth, StoreSnapshot
from completions_mw.errors import ConfigurationError
from tests.support.admission import LEASE_MS, PATIENT, requests, tokens
from tests.support.process import free_port
from tests.support.redis_server import RedisServer, missing
from tests.support.stepping import CancelAt
from tests.support.waiting import wait_until

T = TypeVar("T")
Runner = Callable[[Coroutine[Any, Any, T]], T]


def clients(server: RedisServer) -> int:
    """Return how many connections there are beside the one that asks."""
    return len(server.command("CLIENT", "LIST").splitlines()) - 1


@pytest.fixture(params=["blocking", "async"])
def runner(request: pytest.FixtureRequest) -> Iterator[Runner[Any]]:
    if request.param == "blocking":
        yield run_sync
        return
    with asyncio.Runner() as loop:
        yield loop.run


@pytest.fixture
def session_class(runner: Runner[Any]) -> type[BlockingRedis | AsyncRedis]:
    return BlockingRedis if runner is run_sync else AsyncRedis


def test_an_admission_and_a_finish_are_one_round_trip_each(redis_server: RedisServer, runner: Runner[Any]) -> None:
    """Acceptance 8."""
    store = admission_store(redis_server.url + PATIENT, "test", blocking=runner is run_sync)

    async def serve(request_id: str) -> None:
        limits = [requests("a"), requests("b"), tokens("c", 10), tokens("d", 10)]
        await store.admit(request_id, limits, [Lease("e", 5), Lease("f", 5)], LEASE_MS)
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
    runner(store.admit("{r}", [requests("{a}"), tokens("}b{", 10)], [Lease("{}", 5)], LEASE_MS))
    names = redis_server.command("KEYS", "*")
    assert sorted(names) == [b"{app}:request:{r}", b"{app}:slot:{}", b"{app}:window:{a}", b"{app}:window:}b{"]
    assert len({key_slot(name) for name in names}) == 1
    runner(store.aclose())


def test_every_key_ends_by_itself(redis_server: RedisServer, runner: Runner[Any]) -> None:
    store = admission_store(redis_server.url + PATIENT, "app", blocking=runner is run_sync)
    runner(store.admit("r1", [requests("a"), tokens("b", 10)], [Lease("c", 5)], LEASE_MS))
    runner(store.admit("r2", [requests("a"), tokens("b", 10)], [Lease("c", 5)], LEASE_MS))
    runner(store.renew({"r3": [Lease("d", 1)]}, LEASE_MS))
    runner(store.finish("r2", 1))
    assert all(0 < redis_server.command("PTTL", name) <= 60_000 for name in redis_server.command("KEYS", "*"))
    runner(store.aclose())


def test_a_refusal_writes_nothing(redis_server: RedisServer, runner: Runner[Any]) -> None:
    """See docs/promises.md, Bounds."""
    store = admission_store(redis_server.url + PATIENT, "app", blocking=runner is run_sync)
    runner(store.admit("r", [requests("a", limit=0), tokens("b", 10)], [Lease("c", 5)], LEASE_MS))
    assert redis_server.command("DBSIZE") == 0
    runner(store.aclose())


def test_threads_get_their_own_answers(redis_server: RedisServer) -> None:
    session = BlockingRedis(redis_server.url + PATIENT)
    wrong: list[bytes] = []

    def worker(name: int) -> None:
        for number in range(50):
            text = b"%d-%d" % (name, number)
            if run_sync(session.call("ECHO", text)) != text:
                wrong.append(text)

    threads = [threading.Thread(target=worker, args=(name,)) for name in range(48)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert clients(redis_server) <= 32
    run_sync(session.aclose())
    wait_until(lambda: clients(redis_server) == 0)


def test_tasks_share_a_bounded_number_of_connections(redis_server: RedisServer) -> None:
    async def main() -> None:
        session = AsyncRedis(redis_server.url + PATIENT)
        texts = [b"%d" % number for number in range(300)]
        assert await asyncio.gather(*(session.call("ECHO", text) for text in texts)) == texts
        assert clients(redis_server) <= 32
        await session.aclose()

    asyncio.run(main())
    wait_until(lambda: clients(redis_server) == 0)


def test_tasks_that_ask_together_are_answered_each_by_itself(redis_server: RedisServer) -> None:
    """One connection and one write do for all of them; what Redis refuses one of them is no failure of the others."""

    async def main() -> list[Any]:
        session = AsyncRedis(redis_server.url + PATIENT)
        unknown = ("EVALSHA", "0" * 40, 0)
        commands = [("ECHO", "one"), ("NONSENSE",), unknown, ("INCR", "text"), ("ECHO", "two")]
        await session.call("SET", "text", "not a number")
        answers = await asyncio.gather(*(session.call(*command) for command in commands), return_exceptions=True)
        assert clients(redis_server) == 1
        await session.aclose()
        return answers

    one, refused, unknown, wrong, two = asyncio.run(main())
    assert (one, two) == (b"one", b"two")
    assert [type(error) for error in (refused, unknown, wrong)] == [StoreError, NoScriptError, StoreError]


def test_every_event_loop_has_its_own_connections(redis_server: RedisServer) -> None:
    session = AsyncRedis(redis_server.url + PATIENT)

    async def ask() -> bytes:
        answer: bytes = await session.call("ECHO", "hello")
        await session.aclose()
        return answer

    assert [asyncio.run(ask()), asyncio.run(ask())] == [b"hello", b"hello"]


@pytest.mark.parametrize("warm", [True, False], ids=["idle connection", "new connection"])
def test_a_cancelled_call_leaves_no_answer_behind(redis_server: RedisServer, warm: bool) -> None:
    """At every await point, once (docs/promises.md, Clients that leave)."""

    async def cancelled_at(step: int) -> bool:
        session = AsyncRedis(redis_server.url + PATIENT)
        if warm:
            await session.call("PING")
        work = CancelAt(session.call("ECHO", "cancelled"), step, insist=False)
        task = asyncio.create_task(work.run())
        await asyncio.wait([task])
        assert task.cancelled() or task.result() == b"cancelled"
        assert [await session.call("ECHO", text) for text in ("one", "two")] == [b"one", b"two"]
        await session.aclose()
        return work.reached

    steps = 0
    while asyncio.run(cancelled_at(steps + 1)):
        steps += 1
    assert steps >= 1
    wait_until(lambda: clients(redis_server) == 0)


def test_a_storm_of_cancellations_leaves_nothing_open(redis_server: RedisServer) -> None:
    async def main() -> None:
        session = AsyncRedis(redis_server.url + PATIENT)
        for number in range(70):
            tasks = [asyncio.create_task(session.call("ECHO", str(number))) for _ in range(5)]
            for _ in range(number % 7):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert await session.call("ECHO", "after") == b"after"
        await session.aclose()

    descriptors = psutil.Process().num_fds()
    asyncio.run(main())
    wait_until(lambda: clients(redis_server) == 0)
    assert psutil.Process().num_fds() == descriptors


def test_calls_that_time_out_leave_nothing_open(
    private_redis: RedisServer, runner: Runner[Any], session_class: type[BlockingRedis | AsyncRedis]
) -> None:
    """See docs/promises.md, Stores that fail."""
    session = session_class(f"{private_redis.url}?socket_timeout=0.02")
    patient = session_class(private_redis.url + PATIENT)
    runner(patient.call("PING"))
    descriptors = psutil.Process().num_fds()
    private_redis.stop()
    for _ in range(20):
        with pytest.raises(StoreTimeoutError):
            runner(session.call("ECHO", "late"))
    assert psutil.Process().num_fds() == descriptors
    private_redis.cont()
    assert runner(patient.call("ECHO", "after")) == b"after"
    runner(patient.aclose())
    runner(session.aclose())
    wait_until(lambda: clients(private_redis) == 0)


def test_connections_that_redis_closed_are_replaced(
    redis_server: RedisServer, runner: Runner[Any], session_class: type[BlockingRedis | AsyncRedis]
) -> None:
    session = session_class(redis_server.url + PATIENT)
    for _ in range(3):
        assert runner(session.call("ECHO", "hello")) == b"hello"
        redis_server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    runner(session.aclose())


def test_connections_to_a_redis_that_became_a_replica_are_dropped(
    private_redis: RedisServer, runner: Runner[Any], session_class: type[BlockingRedis | AsyncRedis]
) -> None:
    session = session_class(private_redis.url + PATIENT)
    before = runner(session.call("CLIENT", "ID"))
    private_redis.command("REPLICAOF", "127.0.0.1", "1")
    for script in ((), ("EVAL", "return redis.call('SET', 'a', 1)", 0)):
        with pytest.raises(StoreError, match="ReadOnlyError"):
            runner(session.call(*(script or ("SET", "a", 1))))
        after = runner(session.call("CLIENT", "ID"))
        assert after != before
        before = after
    with pytest.raises(StoreError, match="ResponseError"):
        runner(session.call("NONSENSE"))
    assert runner(session.call("CLIENT", "ID")) == before
    runner(session.aclose())


def _ask_for_id(session: BlockingRedis, answers: Any) -> None:
    answers.put((run_sync(session.call("CLIENT", "ID")), run_sync(session.call("ECHO", "child"))))
    run_sync(session.aclose())


def test_a_fork_shares_no_connection(redis_server: RedisServer) -> None:
    """See docs/promises.md, Processes, forks and clocks."""
    session = BlockingRedis(redis_server.url + PATIENT)
    ours = run_sync(session.call("CLIENT", "ID"))
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=_ask_for_id, args=(session, answers))
    child.start()
    theirs, echo = answers.get()
    child.join()
    assert (echo, child.exitcode) == (b"child", 0)
    assert theirs != ours
    assert run_sync(session.call("CLIENT", "ID")) == ours
    run_sync(session.aclose())


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


@pytest.fixture
def tls_redis(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address and the certificate of a Redis that speaks TLS."""
    openssl = which("openssl")
    if openssl is None:
        missing("openssl")
    key, certificate, port = tmp_path / "key.pem", tmp_path / "certificate.pem", free_port()
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    files: list[str | Path] = ["-nodes", "-keyout", key, "-out", certificate]
    subprocess.run([openssl, "req", "-x509", "-newkey", "rsa:2048", *subject, *files], check=True, capture_output=True)
    options = ("--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key))
    with RedisServer(*options, "--tls-auth-clients", "no", "--tls-ca-cert-file", str(certificate)):
        yield f"rediss://127.0.0.1:{port}/0{PATIENT}", certificate


def test_tls(tls_redis: tuple[str, Path], runner: Runner[Any], session_class: type[BlockingRedis | AsyncRedis]) -> None:
    address, certificate = tls_redis
    session = session_class(f"{address}&ssl_ca_certs={certificate}")
    assert runner(session.call("ECHO", "hello")) == b"hello"
    runner(session.aclose())


def test_a_certificate_that_nobody_vouches_for_is_refused(
    tls_redis: tuple[str, Path], runner: Runner[Any], session_class: type[BlockingRedis | AsyncRedis]
) -> None:
    """See docs/promises.md, Secrets."""
    session = session_class(tls_redis[0])
    with pytest.raises(StoreError, match=r"^Redis cannot be reached: ConnectionError$"):
        runner(session.call("ECHO", "hello"))


LONG_ENOUGH = "?socket_timeout=1"
"""Time for all callers of a crowd, which are more than there are connections, to come before the first one gives up."""
SENT_AT_ONCE = {BlockingRedis: session.MAX_CONNECTIONS, AsyncRedis: MAX_BATCH}
"""Calls that are sent before the first one is answered: one on each connection, or one batch."""


def outcomes(session: BlockingRedis | AsyncRedis, callers: int) -> Counter[type[Exception] | None]:
    """Return how a crowd fares whose members all ask at once, each in a thread or task of its own."""
    seen: list[type[Exception] | None] = []

    async def ask() -> None:
        try:
            await session.call("PING")
            seen.append(None)
        except StoreError as error:
            seen.append(type(error))

    async def ask_all() -> None:
        await asyncio.gather(*(ask() for _ in range(callers)))
        await session.aclose()

    if isinstance(session, AsyncRedis):
        asyncio.run(ask_all())
    else:
        in_threads(callers, lambda _: run_sync(ask()))
        run_sync(session.aclose())
    return Counter(seen)


def in_threads(callers: int, work: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_those_who_wait_give_up_when_others_have_waited_in_vain(
    private_redis: RedisServer, session_class: type[BlockingRedis | AsyncRedis]
) -> None:
    """Nobody waits for one timeout after another; and what was not sent is nothing that Redis may have done."""
    crowded = session_class(private_redis.url + LONG_ENOUGH, acquire_timeout=600)
    private_redis.stop()
    sent = SENT_AT_ONCE[session_class]
    assert outcomes(crowded, 100) == {StoreTimeoutError: sent, StoreRefusalError: 100 - sent}


def test_those_who_wait_for_a_connection_have_a_time_of_their_own(
    private_redis: RedisServer, session_class: type[BlockingRedis | AsyncRedis]
) -> None:
    crowded = session_class(private_redis.url + LONG_ENOUGH, acquire_timeout=0.1)
    private_redis.stop()
    assert outcomes(crowded, SENT_AT_ONCE[session_class] + 1)[StoreRefusalError] == 1


def test_who_comes_after_a_timeout_asks(private_redis: RedisServer, session_class: type[BlockingRedis | AsyncRedis]) -> None:
    crowded = session_class(private_redis.url + LONG_ENOUGH)
    private_redis.stop()
    assert outcomes(crowded, 1) == {StoreTimeoutError: 1}
    private_redis.cont()
    assert outcomes(crowded, 1) == {None: 1}


def guarded(server: RedisServer, *, blocking: bool) -> tuple[GuardedAdmission, StoreHealth]:
    """Return a store with the timeout that it has by default, and how it is doing."""
    health = StoreHealth("admission", SYSTEM_CLOCK)
    store = admission_store(server.url, "test", blocking=blocking)
    return GuardedAdmission(store, "local", MemoryAdmission(SYSTEM_CLOCK), 1, health), health


def check_burst(verdicts: list[Admission], callers: int, health: StoreHealth) -> None:
    """Check that a limit of ten was kept for all by Redis itself."""
    assert (len(verdicts), sum(verdict.admitted for verdict in verdicts)) == (callers, 10)
    assert health.snapshot() == StoreSnapshot("admission", open=False, failures=0, degraded=0)


def test_a_burst_of_tasks_is_decided_by_a_healthy_redis(redis_server: RedisServer) -> None:
    async def main() -> list[Admission]:
        await store.admit("first", [], [], LEASE_MS)
        verdicts = await asyncio.gather(*(store.admit(str(number), [], [Lease("c", 10)], LEASE_MS) for number in range(500)))
        await store.aclose()
        return verdicts

    store, health = guarded(redis_server, blocking=False)
    check_burst(asyncio.run(main()), 500, health)


def test_a_burst_of_threads_is_decided_by_a_healthy_redis(redis_server: RedisServer) -> None:
    store, health = guarded(redis_server, blocking=True)
    verdicts: list[Admission] = []
    run_sync(store.admit("first", [], [], LEASE_MS))
    in_threads(200, lambda number: verdicts.append(run_sync(store.admit(str(number), [], [Lease("c", 10)], LEASE_MS))))
    run_sync(store.aclose())
    check_burst(verdicts, 200, health)


def stall() -> None:
    """Keep the event loop, or a thread, from its work for twice the time that a call has."""
    time.sleep(2 * session.TIMEOUT)


def test_answers_that_a_busy_event_loop_reads_late_are_not_late(redis_server: RedisServer) -> None:
    async def main() -> None:
        session = AsyncRedis(redis_server.url)
        texts = [b"%d" % number for number in range(8)]
        await asyncio.gather(*(session.call("ECHO", text) for text in texts))
        for _ in range(3):
            calls = [asyncio.create_task(session.call("ECHO", text)) for text in texts]
            # All of them are sent.
            await asyncio.sleep(0)
            stall()
            assert await asyncio.gather(*calls) == texts
        await session.aclose()

    asyncio.run(main())


def test_a_thread_that_others_kept_from_asking_waits_for_its_answer(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    send = Connection.send_packed_command

    def send_late(connection: Connection, *command: Any, **options: Any) -> None:
        stall()
        send(connection, *command, **options)  # type: ignore[no-untyped-call]

    session = BlockingRedis(redis_server.url)
    run_sync(session.call("PING"))
    monkeypatch.setattr(Connection, "send_packed_command", send_late)
    for _ in range(3):
        assert run_sync(session.call("ECHO", "hello")) == b"hello"
    run_sync(session.aclose())
