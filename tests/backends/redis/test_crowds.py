"""More callers at once than there are connections to Redis, and callers who read their answers late."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from redis.connection import Connection

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
from tests.support.admission import admit
from tests.support.redis_server import RedisServer

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
        await admit(store, "first")
        verdicts = await asyncio.gather(*(admit(store, str(number), Lease("c", 10)) for number in range(500)))
        await store.aclose()
        return verdicts

    store, health = guarded(redis_server, blocking=False)
    check_burst(asyncio.run(main()), 500, health)


def test_a_burst_of_threads_is_decided_by_a_healthy_redis(redis_server: RedisServer) -> None:
    store, health = guarded(redis_server, blocking=True)
    verdicts: list[Admission] = []
    run_sync(admit(store, "first"))
    in_threads(200, lambda number: verdicts.append(run_sync(admit(store, str(number), Lease("c", 10)))))
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
