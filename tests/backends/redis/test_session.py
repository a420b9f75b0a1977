"""Connections to Redis: whose answers they give, how many there are, and what becomes of them."""

import asyncio
import multiprocessing
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import psutil
import pytest
from redis.exceptions import NoScriptError

from completions_mw.backends.redis.asynchronous import AsyncRedis
from completions_mw.backends.redis.blocking import BlockingRedis
from completions_mw.blocking import run_sync
from completions_mw.core.ports import StoreError, StoreTimeoutError
from tests.backends.redis.conftest import Runner
from tests.support.admission import PATIENT
from tests.support.process import free_port
from tests.support.redis_server import RedisServer, missing
from tests.support.stepping import CancelAt
from tests.support.waiting import wait_until


def clients(server: RedisServer) -> int:
    """Return how many connections there are beside the one that asks."""
    return len(server.command("CLIENT", "LIST").splitlines()) - 1


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
