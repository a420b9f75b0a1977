from collections.abc import Sequence
from typing import Any

import pytest

from completions_mw.blocking import run_sync
from completions_mw.core.budgets.guarded_ledger import MAX_UNWRITTEN, RENEWAL_BATCH_SIZE, GuardedLedger
from completions_mw.core.budgets.replay import MAX_TRIES
from completions_mw.core.budgets.spool import Spool
from completions_mw.core.ports import (
    Account,
    Balance,
    BudgetChange,
    Entry,
    Ledger,
    Outcome,
    Settlement,
    StoreBrokenError,
    StoreError,
    StoreOverloadedError,
    StoreRefusalError,
    StoreTimeoutError,
    Tokens,
    UsageQuery,
)
from completions_mw.core.resilience.store_health import StoreHealth
from completions_mw.errors import ServiceUnavailableError, error_body
from tests.support.fake_clock import FakeClock
from tests.support.faulty import Fault
from tests.support.logs import line
from tests.support.settlements import Books, settlement

ENTRY, OUTCOME, _ = settlement(1)
ACCOUNTS = [Account("key", "team-a", "2026-11", 10**10)]


class Guarded:
    """A guarded ledger with its parts."""

    def __init__(self) -> None:
        self.time = FakeClock()
        self.books = Books()
        self.fault: Fault[Ledger] = Fault(self.books.as_ledger())
        self.health = StoreHealth("ledger", self.time.clock())
        self.spool = Spool(self.time.clock())
        self.ledger = GuardedLedger(self.fault.store, self.spool, self.health)

    def settle(self, number: int) -> list[BudgetChange]:
        return run_sync(self.ledger.settle(*settlement(number)))

    def replay(self) -> list[BudgetChange]:
        return run_sync(self.ledger.replay())

    def refuse(self, numbers: set[int], error: StoreError) -> None:
        """Let the ledger never take some settlements."""
        settle = self.books.settle
        refused = {settlement(number).entry.request_id for number in numbers}

        async def settle_some(entry: Entry, outcome: Outcome, accounts: Sequence[Account] = ()) -> list[BudgetChange]:
            if entry.request_id in refused:
                raise error
            return await settle(entry, outcome, accounts)

        self.books.settle = settle_some  # type: ignore[method-assign]

    @property
    def posted(self) -> list[Any]:
        return list(self.books.posted.values())


def test_a_ledger_that_answers() -> None:
    guarded = Guarded()
    assert run_sync(guarded.ledger.reserve(ENTRY, 5, ACCOUNTS, 1000)) is None
    run_sync(guarded.ledger.checkpoint("a", 3, Tokens(1)))
    run_sync(guarded.ledger.renew(["a"], 1000))
    assert guarded.books.noted == [(ENTRY, 5, ACCOUNTS, 1000), ("a", 3, Tokens(1)), (["a"], 1000)]
    assert [movement.name for movement in guarded.settle(1)] == ["team-a"]
    assert (run_sync(guarded.ledger.reap()), run_sync(guarded.ledger.prune(7))) == (3, True)
    assert run_sync(guarded.ledger.balances("key", "a")) == [Balance("key", "a", "2026-11", 10, 5, 0)]
    assert [row.group for row in run_sync(guarded.ledger.usage(UsageQuery("day")))] == ["day"]
    assert guarded.ledger.spooled == 0


@pytest.mark.parametrize(
    "error", [StoreError("down"), StoreTimeoutError("slow"), StoreBrokenError("corrupt")], ids=lambda error: str(error)
)
def test_nobody_spends_without_the_ledger(error: StoreError) -> None:
    guarded = Guarded()
    guarded.fault.error = error
    for _ in range(20):
        with pytest.raises(ServiceUnavailableError) as caught:
            run_sync(guarded.ledger.reserve(ENTRY, 5, ACCOUNTS, 1000))
    assert error_body(caught.value)["error"] == {
        "message": "Budgets cannot be checked at the moment. Please try again.",
        "type": "server_error",
        "param": None,
        "code": "budget_unavailable",
    }
    assert (caught.value.status, caught.value.headers, caught.value.next_target) == (503, (("retry-after", "1"),), False)
    assert len(guarded.fault.calls) == 5


def test_a_full_queue_is_no_outage() -> None:
    guarded = Guarded()
    guarded.fault.error = StoreOverloadedError("too many calls wait for the store")
    for _ in range(20):
        with pytest.raises(ServiceUnavailableError) as caught:
            run_sync(guarded.ledger.reserve(ENTRY, 5, ACCOUNTS, 1000))
    assert (caught.value.status, caught.value.code, caught.value.headers) == (503, "overloaded", (("retry-after", "1"),))
    assert len(guarded.fault.calls) == 20
    snapshot = guarded.health.snapshot()
    assert (snapshot.open, snapshot.failures, snapshot.degraded, snapshot.overloaded) == (False, 0, 0, 20)
    # What was never asked holds nothing, so nothing has to be given back.
    assert guarded.ledger.spooled == 0


def test_rows_of_requests_without_a_reservation_are_written_later_and_together() -> None:
    guarded = Guarded()
    for number in range(3):
        run_sync(guarded.ledger.record([settlement(number)]))
    assert (guarded.fault.calls, guarded.ledger.unwritten) == ([], 3)
    run_sync(guarded.ledger.write())
    assert (guarded.fault.calls, guarded.ledger.unwritten) == (["record"], 0)
    assert guarded.posted == [settlement(number) for number in range(3)]


def test_a_report_shows_the_rows_that_are_not_written_yet() -> None:
    guarded = Guarded()
    run_sync(guarded.ledger.record([settlement(1)]))
    run_sync(guarded.ledger.usage(UsageQuery("day")))
    assert guarded.fault.calls == ["record", "usage"]


def test_very_many_rows_are_written_by_the_request_that_adds_one_more() -> None:
    guarded = Guarded()
    run_sync(guarded.ledger.record([settlement(number) for number in range(MAX_UNWRITTEN)]))
    assert (len(guarded.posted), guarded.ledger.unwritten) == (MAX_UNWRITTEN, 0)


def test_rows_that_cannot_be_written_are_spooled() -> None:
    guarded = Guarded()
    guarded.fault.error = StoreError("down")
    run_sync(guarded.ledger.record([settlement(number) for number in range(3)]))
    run_sync(guarded.ledger.write())
    assert (guarded.ledger.spooled, guarded.ledger.unwritten) == (3, 0)
    guarded.fault.error = None
    guarded.replay()
    assert guarded.posted == [settlement(number) for number in range(3)]


def test_one_row_that_the_ledger_refuses_takes_no_other_with_it() -> None:
    guarded = Guarded()
    guarded.refuse({1}, StoreRefusalError("constraint"))
    run_sync(guarded.ledger.record([settlement(number) for number in range(3)]))
    run_sync(guarded.ledger.write())
    assert guarded.posted == [settlement(0), settlement(2)]
    assert guarded.ledger.spooled == 1


def test_streams_go_on_without_the_ledger() -> None:
    guarded = Guarded()
    guarded.fault.error = StoreTimeoutError("slow")
    run_sync(guarded.ledger.checkpoint("a", 3, Tokens(1)))
    with pytest.raises(StoreError):
        run_sync(guarded.ledger.renew(["a"], 1000))
    assert guarded.health.snapshot().failures == 2


def test_what_was_spent_meanwhile_is_posted_later_in_order() -> None:
    guarded = Guarded()
    guarded.fault.error = StoreError("down")
    assert [guarded.settle(number) for number in range(10)] == [[]] * 10
    assert guarded.ledger.spooled == 10
    assert guarded.replay() == []
    guarded.fault.error = None
    guarded.time.advance(1)
    order = [*range(1, 10), 0]  # The replay that failed has left the first one for later.
    assert [movement.spent for movement in guarded.replay()] == [settlement(number).outcome.cost for number in order]
    assert guarded.posted == [settlement(number) for number in order]
    assert (guarded.ledger.spooled, guarded.replay()) == (0, [])


def test_a_replay_stops_where_the_ledger_fails_again() -> None:
    guarded = Guarded()
    guarded.fault.error = StoreError("down")
    for number in range(10):
        guarded.settle(number)
    asked = len(guarded.fault.calls)
    guarded.time.advance(1)
    assert guarded.replay() == []
    assert (guarded.ledger.spooled, len(guarded.fault.calls)) == (10, asked + 1)


def test_what_was_posted_though_the_answer_was_lost_is_posted_once() -> None:
    guarded = Guarded()
    guarded.fault.error, guarded.fault.too_late = StoreTimeoutError("slow"), True
    guarded.settle(1)
    assert guarded.posted == [settlement(1)]
    guarded.fault.error = None
    assert guarded.replay() == []
    assert (guarded.posted, guarded.ledger.spooled) == ([settlement(1)], 0)


def test_upkeep_and_reports_fail_as_the_ledger_does() -> None:
    guarded = Guarded()
    guarded.fault.error = StoreError("down")
    works = guarded.ledger.reap(), guarded.ledger.prune(7), guarded.ledger.balances("key", "a"), guarded.ledger.usage(UsageQuery("day"))
    for work in works:
        with pytest.raises(StoreError, match="down"):
            run_sync(work)


def test_closing_posts_what_waits() -> None:
    guarded = Guarded()
    guarded.fault.error = StoreError("down")
    guarded.settle(1)
    guarded.fault.error = None
    run_sync(guarded.ledger.aclose())
    assert guarded.posted == [settlement(1)]
    assert guarded.fault.calls[-1] == "aclose"


def test_settlements_that_the_ledger_refuses_do_not_stand_in_the_way(caplog: pytest.LogCaptureFixture) -> None:
    guarded = Guarded()
    guarded.refuse({0, 1, 2}, StoreRefusalError("constraint"))
    for number in range(10):
        run_sync(guarded.spool.put(settlement(number)))
    others = 10
    while guarded.ledger.spooled and others < 100:
        guarded.time.advance(1)
        guarded.replay()
        # The ledger takes those of others meanwhile.
        guarded.settle(others)
        others += 1
        assert not guarded.health.breaker.is_open
    assert set(guarded.books.posted) == {settlement(number).entry.request_id for number in range(3, others)}
    refused = [line(record) for record in caplog.records if "settlement_refused" in record.getMessage()]
    assert sorted(line["request_id"] for line in refused) == [settlement(number).entry.request_id for number in range(3)]
    assert guarded.ledger.spooled == 0


@pytest.mark.parametrize("failing", [{0}, {0, 1, 2}], ids=["one of them", "all of them"])
def test_a_ledger_that_fails_proves_nothing_against_a_settlement(failing: set[int]) -> None:
    """As one with a full disk, or with too many clients; others may be posted meanwhile, over another connection."""
    guarded = Guarded()
    guarded.refuse(failing, StoreError("a full disk"))
    for number in range(3):
        run_sync(guarded.spool.put(settlement(number)))
    for _ in range(10 * MAX_TRIES):
        guarded.time.advance(1)
        guarded.replay()
    assert guarded.ledger.spooled == len(failing)
    guarded.refuse(set(), StoreError("none"))
    vars(guarded.books).pop("settle")
    guarded.time.advance(1)
    guarded.replay()
    assert (len(guarded.posted), guarded.ledger.spooled) == (3, 0)


def test_the_money_of_what_waits_stays_reserved() -> None:
    guarded = Guarded()
    waiting = [settlement(number) for number in range(RENEWAL_BATCH_SIZE + 1)]
    for one in waiting:
        run_sync(guarded.spool.put(one))
    assert run_sync(guarded.ledger.renew(["running"], 1000)) == []
    ids = ["running", *(one.entry.request_id for one in waiting)]
    assert guarded.books.noted == [(ids[:RENEWAL_BATCH_SIZE], 1000), (ids[RENEWAL_BATCH_SIZE:], 1000)]


def test_a_reservation_whose_answer_was_lost_is_given_back() -> None:
    """Clients try again under other ids, and must not use up the budget with what nobody has (docs/promises.md, Money)."""
    guarded = Guarded()
    guarded.fault.error, guarded.fault.too_late = StoreTimeoutError("slow"), True
    with pytest.raises(ServiceUnavailableError):
        run_sync(guarded.ledger.reserve(ENTRY, 5, ACCOUNTS, 1000))
    guarded.fault.error = None
    guarded.replay()
    [(entry, given_back, _)] = guarded.posted
    assert entry == ENTRY
    assert (given_back.status, given_back.code, given_back.cost, given_back.tokens) == (503, "budget_unavailable", 0, Tokens())


@pytest.mark.parametrize("error", [StoreError("down"), StoreBrokenError("corrupt")], ids=lambda error: str(error))
def test_what_was_surely_not_reserved_leaves_no_row(error: StoreError) -> None:
    guarded = Guarded()
    guarded.fault.error = error
    with pytest.raises(ServiceUnavailableError):
        run_sync(guarded.ledger.reserve(ENTRY, 5, ACCOUNTS, 1000))
    assert guarded.ledger.spooled == 0


def test_a_replay_posts_all_that_waits() -> None:
    guarded = Guarded()
    for number in range(2500):
        run_sync(guarded.spool.put(settlement(number)))
    assert [len(guarded.replay()) for _ in range(2)] == [2500, 0]


def test_what_is_left_in_the_end_is_told(caplog: pytest.LogCaptureFixture) -> None:
    guarded = Guarded()
    for number in range(2):
        run_sync(guarded.spool.put(settlement(number)))
    guarded.fault.error = StoreError("down")
    # Closing the ledger fails as well.
    with pytest.raises(StoreError):
        run_sync(guarded.ledger.aclose())
    [found] = [line(record) for record in caplog.records if "settlements_left" in record.message]
    assert (found["settlements"], found["cost_nano_usd"]) == (2, sum(settlement(number).outcome.cost for number in range(2)))


def test_a_replay_is_bounded_by_the_clock() -> None:
    guarded = Guarded()
    settle = guarded.books.settle

    async def slow(entry: Entry, outcome: Outcome, accounts: Sequence[Account] = ()) -> list[BudgetChange]:
        guarded.time.advance(0.3)
        return await settle(entry, outcome, accounts)

    guarded.books.settle = slow  # type: ignore[method-assign]
    for number in range(100):
        run_sync(guarded.spool.put(settlement(number)))
    assert len(guarded.replay()) == 4
    run_sync(guarded.ledger.aclose())
    assert guarded.ledger.spooled == 100 - 4 - 5 * 4


def test_closing_posts_all_that_there_is_time_for() -> None:
    guarded = Guarded()
    for number in range(250):
        run_sync(guarded.spool.put(settlement(number)))
    run_sync(guarded.ledger.aclose())
    assert len(guarded.posted) == 250


def test_closing_ends_though_one_is_always_refused() -> None:
    guarded = Guarded()
    guarded.refuse({0}, StoreRefusalError("constraint"))
    for number in range(3):
        run_sync(guarded.spool.put(settlement(number)))
    run_sync(guarded.ledger.aclose())
    assert (len(guarded.posted), guarded.ledger.spooled) == (2, 1)


class Left:
    """What a dead process has left."""

    def __init__(self, *lines: bytes) -> None:
        self.lines: list[tuple[bytes, object]] = [(line, number) for number, line in enumerate(lines)]
        self.aside: list[bytes] = []

    async def adopt(self) -> list[tuple[bytes, object]]:
        lines, self.lines = self.lines, []
        return lines

    async def append(self, *lines: bytes) -> object:
        self.lines += [(line, None) for line in lines]
        return None

    async def done(self, receipt: object) -> None: ...

    async def set_aside(self, line: bytes, receipt: object) -> str:
        self.aside.append(line)
        return "spool.1.aside"

    async def aclose(self) -> None: ...


def left_by_another_process(*settlements: Settlement) -> Left:
    left = Left()
    spool = Spool(FakeClock().clock(), file=left)
    for each in settlements:
        run_sync(spool.put(each))
    return left


def test_a_running_request_is_settled_by_no_line_of_a_file() -> None:
    """Neither are its leases renewed by whoever has read the line (docs/promises.md, Stores that fail)."""
    guarded = Guarded()
    left = left_by_another_process(settlement(1), settlement(2))
    guarded.spool = Spool(guarded.time.clock(), file=left)
    guarded.ledger = GuardedLedger(guarded.books.as_ledger(), guarded.spool, guarded.health)
    guarded.books.running = {settlement(1).entry.request_id}
    guarded.replay()
    guarded.replay()
    assert guarded.posted == [settlement(2)]
    run_sync(guarded.ledger.renew(["mine"], 1000))
    assert guarded.books.noted == [(["mine"], 1000)]
    guarded.books.running = set()
    guarded.replay()
    assert guarded.posted == [settlement(2), settlement(1)]
