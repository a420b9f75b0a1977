"""What happens to a ledger in PostgreSQL when its server is slow, stopped or gone (docs/promises.md, Stores that fail)."""

import asyncio
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from functools import partial

import anyio
import psycopg
import pytest

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.sql import CallTimes, ConflictError, Step, open_database
from completions_mw.backends.sql.postgres.pool import (
    MAX_CONNECTIONS,
    MAX_REPORT_CONNECTIONS,
    AsyncPostgresPool,
    BlockingPostgresPool,
    PostgresPool,
)
from completions_mw.backends.sql.statements import migrations
from completions_mw.blocking import run_sync
from completions_mw.core.ports import StoreBrokenError, StoreError, StoreOverloadedError, StoreRefusalError, StoreTimeoutError, UsageQuery
from completions_mw.errors import ConfigurationError
from tests.support.ledgers import PATIENCE, TTL_MS, Books, account, books, entry, outcome, spend
from tests.support.postgres_server import PostgresServer, postgres_server
from tests.support.waiting import wait_until

TIMEOUT = 1.0
"""Seconds, where a time-out is the subject."""


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with postgres_server(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(params=[True, False], ids=["blocking", "async"])
def opened(request: pytest.FixtureRequest, postgres: PostgresServer) -> Iterator[Books]:
    """A ledger in which 100 of 1000 are spent."""
    with books(postgres.new_database(), blocking=request.param) as made:
        assert made.run(spend(made.ledger, "before", 100, 100, [account(1000)]))
        yield made


@pytest.fixture(params=[True, False], ids=["blocking", "async"])
def impatient(request: pytest.FixtureRequest, postgres: PostgresServer) -> Iterator[Books]:
    """A ledger in which 100 of 1000 are spent, whose user does not wait for long."""
    with books(postgres.new_database(), blocking=request.param, timeout=TIMEOUT) as made:
        assert made.run(spend(made.ledger, "before", 100, 100, [account(1000)]))
        yield made


def _spent(opened: Books) -> int:
    [balance] = opened.run(opened.ledger.balances("key", "key-1"))
    assert balance.reserved == 0
    return balance.spent


@contextmanager
def _locked(opened: Books) -> Iterator[None]:
    with psycopg.connect(opened.address) as other:
        other.execute("SELECT * FROM completions_mw.budgets FOR UPDATE")
        yield


def test_a_server_that_crashes_and_comes_back_is_used_again(opened: Books, postgres: PostgresServer) -> None:
    postgres.stop("immediate")
    try:
        for _ in range(2):
            with pytest.raises(StoreError, match="OperationalError"):
                opened.run(opened.ledger.reserve(entry("a"), 1, [account(1000)], TTL_MS))
    finally:
        postgres.start()
    assert opened.run(spend(opened.ledger, "a", 1, 1, [account(1000)]))
    assert _spent(opened) == 101


def test_a_restart_between_two_requests_is_not_noticed(opened: Books, postgres: PostgresServer) -> None:
    postgres.stop("immediate")
    postgres.start()
    assert opened.run(spend(opened.ledger, "a", 1, 1, [account(1000)]))


def test_a_server_process_that_hangs_is_given_up_and_its_connection_with_it(impatient: Books, postgres: PostgresServer) -> None:
    [pid] = postgres.backends(impatient.address)
    with postgres.stopped(pid):
        with pytest.raises(StoreTimeoutError):
            impatient.run(impatient.ledger.reserve(entry("a"), 1, [account(1000)], TTL_MS))
        assert impatient.run(spend(impatient.ledger, "b", 1, 1, [account(1000)]))
        assert len(impatient.database.pool.idle) == 1  # type: ignore[attr-defined]
    assert impatient.run(impatient.ledger.settle(entry("a"), outcome(1))) is not None
    [balance] = impatient.run(impatient.ledger.balances("key", "key-1"))
    assert balance.spent in (101, 102)


def test_a_budget_that_somebody_else_locks_is_a_timeout_and_the_connection_survives(impatient: Books, postgres: PostgresServer) -> None:
    before = postgres.backends(impatient.address)
    with _locked(impatient), pytest.raises(StoreTimeoutError, match="LockNotAvailable"):
        impatient.run(impatient.ledger.reserve(entry("a"), 1, [account(1000)], TTL_MS))
    assert impatient.run(spend(impatient.ledger, "a", 1, 1, [account(1000)]))
    assert postgres.backends(impatient.address) == before


def test_more_requests_than_connections_wait_and_the_last_ones_not_for_ever(impatient: Books, postgres: PostgresServer) -> None:
    async def fails(request_id: str) -> bool:
        try:
            return not await spend(impatient.ledger, request_id, 1, 1, [account(1000)])
        except StoreTimeoutError:
            return True

    with _locked(impatient):
        assert all(impatient.run.together([partial(fails, f"{at}") for at in range(3 * MAX_CONNECTIONS)]))
    assert len(postgres.backends(impatient.address)) <= MAX_CONNECTIONS
    assert impatient.run(spend(impatient.ledger, "a", 1, 1, [account(1000)]))


@pytest.mark.parametrize("pool_kind", [BlockingPostgresPool, AsyncPostgresPool])
def test_no_connection_is_free(postgres: PostgresServer, pool_kind: type[PostgresPool]) -> None:
    pool = pool_kind(postgres.new_database(), PATIENCE, permit_seconds=0.05)

    async def use_all() -> None:
        async with AsyncExitStack() as stack:
            for _ in range(MAX_CONNECTIONS):
                await stack.enter_async_context(pool.connection(PATIENCE))
            with pytest.raises(StoreOverloadedError, match="all connections are in use"):
                await stack.enter_async_context(pool.connection(PATIENCE))
            # Those of look-ups are there for them alone.
            await stack.enter_async_context(pool.connection(PATIENCE, "look-up"))
        async with pool.connection(PATIENCE) as connection:
            assert await connection.run("SELECT 1") == [(1,)]
        await pool.aclose()

    asyncio.run(use_all())


@pytest.mark.parametrize("blocking", [True, False], ids=["blocking", "async"])
def test_nobody_there(postgres: PostgresServer, blocking: bool) -> None:
    nowhere = f"postgresql://user:hush-hush@127.0.0.1:{postgres.port}/no_such_database"
    with books(nowhere, blocking=blocking) as opened, pytest.raises(StoreError) as caught:
        opened.run(opened.database.fetch("check"))
    assert str(caught.value) == "PostgreSQL: OperationalError"


def test_a_newer_schema_is_refused(opened: Books, postgres: PostgresServer) -> None:
    postgres.query("INSERT INTO completions_mw.migrations VALUES (1000)", opened.address)
    with books(opened.address, blocking=True) as second, pytest.raises(StoreBrokenError, match="newer version"):
        second.run(second.database.fetch("check"))


def test_a_schema_that_is_dropped_is_noticed_and_not_made_again(opened: Books, postgres: PostgresServer) -> None:
    postgres.query("DROP SCHEMA completions_mw CASCADE", opened.address)
    for _ in range(2):
        with pytest.raises(StoreBrokenError):
            opened.run(opened.ledger.reserve(entry("a"), 1, [account(1000)], TTL_MS))


def test_many_workers_make_the_same_schema_at_once(postgres: PostgresServer) -> None:
    address = postgres.new_database()
    databases = [open_database(address, blocking=True, clock=SYSTEM_CLOCK) for _ in range(12)]

    def use(at: int) -> int:
        with books(address, blocking=True) as one:
            return int(one.run(one.database.fetch("check"))[0][0])

    with ThreadPoolExecutor(12) as threads:
        assert list(threads.map(use, range(len(databases)))) == [1] * 12
    assert postgres.query("SELECT version FROM completions_mw.migrations ORDER BY 1", address) == [
        (step.version,) for step in migrations("postgres")
    ]


def test_a_child_has_connections_of_its_own(opened: Books) -> None:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with asyncio.Runner() as runner:
                code = 0 if runner.run(spend(opened.ledger, "child", 10, 10, [account(1000)])) else 2
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert opened.run(spend(opened.ledger, "parent", 10, 10, [account(1000)]))
    assert _spent(opened) == 120


def test_who_is_cancelled_discards_the_connection(postgres: PostgresServer) -> None:
    async def cancelled(opened: Books) -> None:
        task = asyncio.create_task(opened.ledger.settle(entry("running"), outcome(1)))
        await anyio.wait_all_tasks_blocked()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with books(postgres.new_database(), blocking=False) as opened:
        opened.run(opened.ledger.reserve(entry("running"), 1, [account(1000)], TTL_MS))
        with _locked(opened):
            opened.run(cancelled(opened))
        assert opened.run(spend(opened.ledger, "a", 1, 1, [account(1000)]))


GEVENT = """
from gevent import monkey
monkey.patch_all()
import sys, gevent
from tests.support.ledgers import account, books, spend
with books(sys.argv[1], blocking=True) as (run, ledger, database, _):
    run(database.fetch("check"))
    turns = []
    def use(at):
        for i in range(5):
            run(spend(ledger, f"{at}-{i}", 1, 1, [account(1000)]))
            turns.append(at)
    gevent.joinall([gevent.spawn(use, at) for at in range(10)], raise_error=True)
    assert turns != sorted(turns), "one greenlet after the other"
    [balance] = run(ledger.balances("key", "key-1"))
    print(balance.spent)
"""


def test_greenlets_take_turns(postgres: PostgresServer) -> None:
    done = subprocess.run([sys.executable, "-c", GEVENT, postgres.new_database()], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("50\n", "", 0)


def test_steps_are_done_all_or_none(opened: Books, postgres: PostgresServer) -> None:
    step = Step("schema_applied", {"version": 77})
    with pytest.raises(ConflictError):
        opened.run(opened.database.transaction([step, step]))
    assert postgres.query("SELECT max(version) FROM completions_mw.migrations", opened.address) == [(migrations("postgres")[-1].version,)]
    assert opened.run(opened.database.fetch("check")) == [(1,)]


def test_a_value_that_it_does_not_take_is_a_refusal_and_nothing_else_is(opened: Books) -> None:
    with pytest.raises(StoreRefusalError, match=r"^PostgreSQL: "):
        opened.run(opened.ledger.settle(entry("wrong"), outcome(1)._replace(status=2**40)))
    assert opened.run(spend(opened.ledger, "right", 1, 1, [account(1000)]))


def test_a_connection_to_what_became_a_replica_is_not_kept(opened: Books, postgres: PostgresServer) -> None:
    before = postgres.backends(opened.address)
    postgres.query(f"ALTER DATABASE {opened.address.rpartition('/')[2]} SET default_transaction_read_only = on")
    opened.run(opened.database.aclose())
    for _ in range(2):
        with pytest.raises(StoreError, match="ReadOnlySqlTransaction") as caught:
            opened.run(opened.ledger.reserve(entry("a"), 1, [account(1000)], TTL_MS))
        assert type(caught.value) is StoreError
        assert opened.database.pool.idle == deque()  # type: ignore[attr-defined]
    postgres.query(f"ALTER DATABASE {opened.address.rpartition('/')[2]} RESET default_transaction_read_only")
    assert opened.run(spend(opened.ledger, "a", 1, 1, [account(1000)]))
    assert set(postgres.backends(opened.address)).isdisjoint(before)


def test_an_address_that_cannot_be_read_is_told_without_it() -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_database("postgresql://user:hush-hush@host:port/x?nonsense=1", blocking=True, clock=SYSTEM_CLOCK)
    assert str(caught.value) == "stores.ledger: is not an address that PostgreSQL's driver can read"


def test_what_is_reserved_while_it_is_settled_is_posted_once(opened: Books) -> None:
    async def reserve(request_id: str) -> int:
        await opened.ledger.reserve(entry(request_id), 5, [account(1000)], TTL_MS)
        return 0

    async def settle(request_id: str) -> int:
        return len(await opened.ledger.settle(entry(request_id), outcome(5)))

    works = [work for at in range(20) for work in (partial(reserve, f"{at}"), partial(settle, f"{at}"))]
    posted = sum(opened.run.together(works))
    assert _spent(opened) == 100 + 5 * posted


def test_a_report_waits_longer_for_a_lock_than_a_request_does(impatient: Books, postgres: PostgresServer) -> None:
    with books(impatient.address, blocking=True, timeout=TIMEOUT) as reader, ThreadPoolExecutor(1) as threads:
        reader.run(reader.database.fetch("check"))
        with _reports_wait(impatient):
            report = threads.submit(lambda: run_sync(reader.ledger.usage(UsageQuery("key"))))
            wait_until(lambda: _waiting(postgres, impatient) == 1)
            # It has to wait for longer than the report would, had that no time of its own.
            with pytest.raises(StoreTimeoutError, match="LockNotAvailable"):
                impatient.run(impatient.ledger.settle(entry("a"), outcome(1)))
            assert not report.done()
        assert [row.requests for row in report.result()] == [1]


def test_a_report_does_not_wait_for_ever(opened: Books) -> None:
    database = open_database(opened.address, blocking=True, clock=SYSTEM_CLOCK, times=CallTimes(PATIENCE, TIMEOUT))
    with _reports_wait(opened), pytest.raises(StoreTimeoutError, match="LockNotAvailable"):
        run_sync(database.report("ledger_usage", **UsageQuery("key")._asdict()))
    run_sync(database.aclose())


def test_reports_do_not_stand_in_the_way_of_money(postgres: PostgresServer) -> None:
    with books(postgres.new_database(), blocking=True) as opened, ThreadPoolExecutor(MAX_CONNECTIONS) as threads:
        opened.run(opened.database.fetch("check"))
        with _reports_wait(opened):
            reports = [threads.submit(lambda: run_sync(opened.ledger.usage(UsageQuery("key")))) for _ in range(MAX_CONNECTIONS)]
            wait_until(lambda: _waiting(postgres, opened) == MAX_REPORT_CONNECTIONS)
            assert opened.run(opened.database.fetch("check")) == [(1,)]
        assert [report.result() for report in reports] == [[]] * MAX_CONNECTIONS


def test_reports_do_not_stand_in_the_way_of_money_on_an_event_loop(postgres: PostgresServer) -> None:
    async def play(opened: Books) -> None:
        await opened.database.fetch("check")
        with _reports_wait(opened):
            reports = [asyncio.create_task(opened.ledger.usage(UsageQuery("key"))) for _ in range(MAX_CONNECTIONS)]
            await asyncio.to_thread(wait_until, lambda: _waiting(postgres, opened) == MAX_REPORT_CONNECTIONS)
            assert await opened.database.fetch("check") == [(1,)]
        assert await asyncio.gather(*reports) == [[]] * MAX_CONNECTIONS

    with books(postgres.new_database(), blocking=False) as opened:
        opened.run(play(opened))


@contextmanager
def _reports_wait(opened: Books) -> Iterator[None]:
    with psycopg.connect(opened.address) as other:
        other.execute("LOCK TABLE completions_mw.entries IN ACCESS EXCLUSIVE MODE")
        yield


def _waiting(postgres: PostgresServer, opened: Books) -> int:
    name = opened.address.rpartition("/")[2]
    [(count,)] = postgres.query(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND wait_event_type = 'Lock'")
    return int(count)
