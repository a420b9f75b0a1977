"""A wall clock that jumps expires nothing before every process could renew (docs/promises.md, Processes, forks and clocks)."""

from collections.abc import Iterator
from contextlib import ExitStack, closing

import psycopg
import pytest

from completions_mw.backends.sql.postgres.database import BlockingPostgres
from completions_mw.backends.sql.postgres.ledger import PostgresLedger
from completions_mw.backends.sql.reaping_time import ReapingTime
from completions_mw.backends.sql.sqlite.database import BlockingSqlite
from completions_mw.backends.sql.sqlite.ledger import SqliteLedger
from completions_mw.blocking import run_sync
from completions_mw.core.ports import Clock, Ledger
from tests.support.ledgers import STARTED_MS, account, entry

HOLD = 10.0
SERVER_CLOCK = """
    CREATE SCHEMA ours;
    CREATE TABLE ours.clock (seconds double precision);
    INSERT INTO ours.clock VALUES (0);
    CREATE FUNCTION ours.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT to_timestamp(seconds) FROM ours.clock';
"""
"""A clock in place of the server's, for whoever looks for it there first."""


class Clocks:
    """Both clocks of a machine: time passes on both, and the wall clock can be set."""

    def __init__(self) -> None:
        self.monotonic = 1000.0
        self.wall = STARTED_MS / 1000
        self.clock = Clock(monotonic=lambda: self.monotonic, time=lambda: self.wall)

    def passes(self, seconds: float) -> None:
        self.monotonic += seconds
        self.set(self.wall + seconds)

    def set(self, wall: float) -> None:
        self.wall = wall


class ServerClocks(Clocks):
    """The monotonic clock of a process, and the wall clock of its PostgreSQL."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._connection = psycopg.connect(address, autocommit=True)
        self._connection.execute(SERVER_CLOCK)
        self.set(self.wall)

    def set(self, wall: float) -> None:
        super().set(wall)
        self._connection.execute("UPDATE ours.clock SET seconds = %s", (wall,))

    def close(self) -> None:
        self._connection.close()


def reaping_time(clocks: Clocks) -> ReapingTime:
    time = ReapingTime(clocks.clock.monotonic, HOLD)
    assert time.at(clocks.wall) is None
    return time


def test_a_new_process_believes_the_wall_clock_after_a_while() -> None:
    clocks = Clocks()
    time = reaping_time(clocks)
    clocks.passes(HOLD - 0.1)
    assert time.at(clocks.wall) is None
    clocks.passes(0.1)
    assert time.at(clocks.wall) == pytest.approx(clocks.wall, abs=0.001)
    clocks.passes(1000)
    assert time.at(clocks.wall) == pytest.approx(clocks.wall, abs=0.001)


@pytest.mark.parametrize("idle", [0, 1, 300])
def test_a_jump_forward_is_believed_after_a_while(idle: float) -> None:
    clocks = Clocks()
    time = reaping_time(clocks)
    clocks.passes(HOLD)
    assert time.at(clocks.wall) == pytest.approx(clocks.wall, abs=0.001)
    clocks.passes(idle)
    clocks.set(clocks.wall + 300)
    for _ in range(9):
        assert time.at(clocks.wall) == pytest.approx(clocks.wall - 300, abs=0.001)
        clocks.passes(1)
    for _ in range(12):
        clocks.passes(1)
        time.at(clocks.wall)
    assert time.at(clocks.wall) == pytest.approx(clocks.wall, abs=0.001)


def test_a_clock_that_is_set_back_and_put_right() -> None:
    clocks = Clocks()
    time = reaping_time(clocks)
    clocks.passes(HOLD)
    clocks.set(clocks.wall - 300)
    assert time.at(clocks.wall) == pytest.approx(clocks.wall, abs=0.001)
    clocks.set(clocks.wall + 300)
    assert time.at(clocks.wall) == pytest.approx(clocks.wall - 300, abs=0.001)
    clocks.passes(2 * HOLD)
    time.at(clocks.wall)
    clocks.passes(HOLD)
    assert time.at(clocks.wall) == pytest.approx(clocks.wall, abs=0.001)


@pytest.fixture(params=["sqlite", "postgresql"])
def kept(request: pytest.FixtureRequest) -> Iterator[tuple[Clocks, Ledger]]:
    """A ledger, and the clocks that it goes by, which it has seen for long enough."""
    with ExitStack() as stack:
        clocks: Clocks
        ledger: Ledger
        if request.param == "sqlite":
            clocks = Clocks()
            ledger = SqliteLedger(BlockingSqlite(None, clocks.clock), hold=HOLD)
        else:
            address = request.getfixturevalue("postgres").new_database()
            clocks = stack.enter_context(closing(ServerClocks(address)))
            database = BlockingPostgres(f"{address}?options=-csearch_path%3Dours%2Cpg_catalog")
            ledger = PostgresLedger(database, hold=HOLD, monotonic=clocks.clock.monotonic)
        stack.callback(lambda: run_sync(ledger.aclose()))
        assert run_sync(ledger.reap()) == 0
        clocks.passes(HOLD)
        yield clocks, ledger


def spent_and_reserved(ledger: Ledger) -> tuple[int, int]:
    [balance] = run_sync(ledger.balances("key", "key-1"))
    return balance.spent, balance.reserved


def test_a_running_request_keeps_its_money_though_the_clock_jumps(kept: tuple[Clocks, Ledger]) -> None:
    """Neither maintenance nor another request of the same budget takes it, and its next renewal is by the new time."""
    clocks, ledger = kept
    assert run_sync(ledger.reserve(entry("a"), 900, [account(1000)], 30_000)) is None
    run_sync(ledger.reap())
    clocks.passes(1)
    clocks.set(clocks.wall + 300)
    assert run_sync(ledger.reap()) == 0
    assert run_sync(ledger.reserve(entry("b"), 900, [account(1000)], 30_000)) is not None
    assert spent_and_reserved(ledger) == (0, 900)
    for _ in range(6):
        clocks.passes(5)
        assert run_sync(ledger.renew(["a"], 30_000)) == []
        assert run_sync(ledger.reap()) == 0
    assert spent_and_reserved(ledger) == (0, 900)


def test_what_a_dead_process_held_is_reaped_all_the_same(kept: tuple[Clocks, Ledger]) -> None:
    clocks, ledger = kept
    assert run_sync(ledger.reserve(entry("a"), 900, [account(1000)], 30_000)) is None
    clocks.passes(29)
    assert run_sync(ledger.reap()) == 0
    clocks.passes(1)
    assert run_sync(ledger.reap()) == 1
    assert spent_and_reserved(ledger) == (0, 0)
