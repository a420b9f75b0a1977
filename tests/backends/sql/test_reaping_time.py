"""A wall clock that jumps expires nothing before every process could renew (docs/promises.md, Processes, forks and clocks)."""

from collections.abc import Iterator

import pytest

from completions_mw.backends.sql.reaping_time import ReapingTime
from completions_mw.backends.sql.sqlite.database import BlockingSqlite
from completions_mw.backends.sql.sqlite.ledger import SqliteLedger
from completions_mw.blocking import run_sync
from completions_mw.core.ports import Clock
from tests.support.ledgers import STARTED_MS, account, entry

HOLD = 10.0


class Clocks:
    """Both clocks of a machine: time passes on both, and the wall clock can be set."""

    def __init__(self) -> None:
        self.monotonic = 1000.0
        self.wall = STARTED_MS / 1000
        self.clock = Clock(monotonic=lambda: self.monotonic, time=lambda: self.wall)

    def passes(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += seconds


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def test_a_new_process_believes_the_wall_clock_after_a_while(clocks: Clocks) -> None:
    time = ReapingTime(clocks.clock, HOLD)
    assert time.now() is None
    clocks.passes(HOLD - 0.1)
    assert time.now() is None
    clocks.passes(0.1)
    assert time.now() == int(clocks.wall * 1000)
    clocks.passes(1000)
    assert time.now() == int(clocks.wall * 1000)


@pytest.mark.parametrize("idle", [0, 1, 300])
def test_a_jump_forward_is_believed_after_a_while(clocks: Clocks, idle: float) -> None:
    time = ReapingTime(clocks.clock, HOLD)
    clocks.passes(HOLD)
    assert time.now() == int(clocks.wall * 1000)
    clocks.passes(idle)
    clocks.wall += 300
    for _ in range(9):
        assert time.now() == int((clocks.wall - 300) * 1000)
        clocks.passes(1)
    for _ in range(12):
        clocks.passes(1)
        time.now()
    assert time.now() == int(clocks.wall * 1000)


def test_a_clock_that_is_set_back_and_put_right(clocks: Clocks) -> None:
    time = ReapingTime(clocks.clock, HOLD)
    clocks.passes(HOLD)
    clocks.wall -= 300
    assert time.now() == int(clocks.wall * 1000)
    clocks.wall += 300
    assert time.now() == int((clocks.wall - 300) * 1000)
    clocks.passes(2 * HOLD)
    time.now()
    clocks.passes(HOLD)
    assert time.now() == int(clocks.wall * 1000)


@pytest.fixture
def ledger(clocks: Clocks) -> Iterator[SqliteLedger]:
    ledger = SqliteLedger(BlockingSqlite(None, clocks.clock), hold=HOLD)
    clocks.passes(HOLD)
    yield ledger
    run_sync(ledger.aclose())


def spent_and_reserved(ledger: SqliteLedger) -> tuple[int, int]:
    [balance] = run_sync(ledger.balances("key", "key-1"))
    return balance.spent, balance.reserved


def test_a_running_request_keeps_its_money_though_the_clock_jumps(clocks: Clocks, ledger: SqliteLedger) -> None:
    """Neither maintenance nor another request of the same budget takes it, and its next renewal is by the new time."""
    assert run_sync(ledger.reserve(entry("a"), 900, [account(1000)], 30_000)) is None
    run_sync(ledger.reap())
    clocks.passes(1)
    clocks.wall += 300
    assert run_sync(ledger.reap()) == 0
    assert run_sync(ledger.reserve(entry("b"), 900, [account(1000)], 30_000)) is not None
    assert spent_and_reserved(ledger) == (0, 900)
    for _ in range(6):
        clocks.passes(5)
        assert run_sync(ledger.renew(["a"], 30_000)) == []
        assert run_sync(ledger.reap()) == 0
    assert spent_and_reserved(ledger) == (0, 900)


def test_what_a_dead_process_held_is_reaped_all_the_same(clocks: Clocks, ledger: SqliteLedger) -> None:
    assert run_sync(ledger.reserve(entry("a"), 900, [account(1000)], 30_000)) is None
    clocks.passes(29)
    assert run_sync(ledger.reap()) == 0
    clocks.passes(1)
    assert run_sync(ledger.reap()) == 1
    assert spent_and_reserved(ledger) == (0, 0)
