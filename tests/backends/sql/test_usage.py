"""One contract for the sums over requests, and for how long their rows are kept, in the ledgers of all databases."""

import pytest

from completions_mw.backends.sql import ledger_on
from completions_mw.backends.sql.ledger_rows import BATCH_SIZE
from completions_mw.backends.sql.sqlite.database import BlockingSqlite
from completions_mw.backends.sql.sqlite.ledger import SqliteLedger
from completions_mw.blocking import run_sync
from completions_mw.core.ports import UsageQuery
from completions_mw.core.ports.usage import UsageBy
from tests.support.ledgers import EXPIRED, STARTED_MS, TTL_MS, Books, Time, account, balance, books, entry, outcome, spend

DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        ("key", {"": 1, "key-1": 2, "key-2": 4}),
        ("tenant", {"tenant-1": 3, "tenant-2": 4}),
        ("model", {"gpt": 5, "other": 2}),
        ("day", {"2026-11-18": 1, "2026-11-19": 6}),
    ],
    ids=["key", "tenant", "model", "day"],
)
def test_usage_is_summed_by_groups_in_order(all_books: Books, by: UsageBy, groups: dict[str, int]) -> None:
    run, ledger = all_books[:2]
    run(ledger.settle(entry("a", key=""), outcome(1)))
    run(ledger.settle(entry("b", started_ms=STARTED_MS + DAY_MS, model="other"), outcome(2)))
    run(ledger.settle(entry("c", started_ms=STARTED_MS + DAY_MS, key="key-2", tenant="tenant-2"), outcome(4, estimated=True)))
    run(ledger.reserve(entry("running"), 8, [account(100)], TTL_MS))

    rows = run(ledger.usage(UsageQuery(by)))

    assert {row.group: row.cost_nano for row in rows} == groups
    assert [row.group for row in rows] == sorted(groups)
    assert sum(row.requests for row in rows) == 3
    assert sum(row.estimated for row in rows) == 1
    assert (sum(row.prompt_tokens for row in rows), sum(row.completion_tokens for row in rows)) == (30, 60)
    assert (sum(row.cached_tokens for row in rows), sum(row.reasoning_tokens for row in rows)) == (9, 12)


def test_a_key_and_a_caller_of_one_name_are_counted_apart(all_books: Books) -> None:
    run, ledger = all_books[:2]
    for cost, scope in enumerate(("key", "caller", "app"), 1):
        run(ledger.settle(entry(scope, key="" if scope == "app" else "ada")._replace(scope=scope), outcome(cost)))

    rows = run(ledger.usage(UsageQuery("key")))

    assert [(row.group, row.scope, row.cost_nano) for row in rows] == [("", "app", 3), ("ada", "caller", 2), ("ada", "key", 1)]
    assert [row.cost_nano for row in run(ledger.usage(UsageQuery("day", key="ada")))] == [1]
    assert [row.cost_nano for row in run(ledger.usage(UsageQuery("day", caller="ada")))] == [2]
    assert [(row.group, row.scope) for row in run(ledger.usage(UsageQuery("tenant")))] == [("tenant-1", "")]


@pytest.mark.parametrize(
    ("query", "cost"),
    [
        (UsageQuery("day", since_ms=STARTED_MS + 1), 6),
        (UsageQuery("day", since_ms=STARTED_MS, until_ms=STARTED_MS + 1), 1),
        (UsageQuery("day", until_ms=STARTED_MS + 2), 3),
        (UsageQuery("day", key="key-2"), 4),
        (UsageQuery("day", tenant="tenant-2"), 4),
        (UsageQuery("day", model="other"), 2),
        (UsageQuery("day", model="other", key="key-2"), 0),
    ],
    ids=["since", "from-until", "until", "key", "tenant", "model", "both"],
)
def test_usage_of_some_requests_only(all_books: Books, query: UsageQuery, cost: int) -> None:
    run, ledger = all_books[:2]
    run(ledger.settle(entry("a"), outcome(1)))
    run(ledger.settle(entry("b", started_ms=STARTED_MS + 1, model="other"), outcome(2)))
    run(ledger.settle(entry("c", started_ms=STARTED_MS + 2, key="key-2", tenant="tenant-2"), outcome(4)))
    assert sum(row.cost_nano for row in run(ledger.usage(query))) == cost


def test_pruning_forgets_the_old_and_keeps_what_is_under_way(all_books: Books) -> None:
    run, ledger = all_books[:2]
    old, new = STARTED_MS - 1, STARTED_MS
    run(ledger.settle(entry("old", started_ms=old), outcome(1)))
    run(ledger.settle(entry("new", started_ms=new), outcome(2)))
    run(ledger.reserve(entry("reaped", started_ms=old), 4, [account(100)], EXPIRED))
    run(ledger.reap())
    run(ledger.reserve(entry("running", started_ms=old), 8, [account(100)], TTL_MS))

    assert not run(ledger.prune(STARTED_MS))

    assert [(row.requests, row.cost_nano) for row in run(ledger.usage(UsageQuery("model")))] == [(1, 2)]
    run(ledger.settle(entry("running", started_ms=old), outcome(5)))
    assert balance(all_books) == (100, 5, 0)


def test_pruning_works_in_batches(all_books: Books) -> None:
    run = all_books.run
    for at in range(5):
        run(spend(all_books.ledger, f"{at}", 1, 1, [account(1, period=f"2025-0{at + 1}")]))
    ledger = ledger_on(all_books.database, batch=2)
    left = []
    while run(ledger.prune(STARTED_MS + 1)):
        left.append((sum(row.requests for row in run(ledger.usage(UsageQuery("key")))), len(run(ledger.balances("key", "key-1")))))
    assert left == [(3, 5), (1, 5), (0, 3), (0, 1)]
    assert run(ledger.balances("key", "key-1")) == []


def test_pruning_takes_the_budgets_of_periods_that_have_ended(all_books: Books) -> None:
    run, ledger = all_books[:2]
    ended = ["2026-11-18T10", "2026-11-17", "2026-W46", "2026-10", "2025-12"]
    kept = ["2026-11-18T11", "2026-11-18T12", "2026-11-18", "2026-W47", "2027-W01", "2026-11", "total", "something-else"]
    for period in ended + kept:
        run(spend(ledger, period, 1, 1, [account(100, period=period)]))
    run(ledger.reserve(entry("running"), 1, [account(100, period="2026-09")], TTL_MS))

    run(ledger.prune(STARTED_MS))

    balances = run(ledger.balances("key", "key-1"))
    assert [balance.period for balance in balances] == sorted([*kept, "2026-09"], reverse=True)


def test_memory_keeps_the_rows_of_a_day() -> None:
    with books("memory://", blocking=True, clock=Time().clock) as opened:
        run, ledger = opened[:2]
        run(spend(ledger, "old", 1, 1, [account(1, period="2026-10")]))
        run(ledger.settle(entry("older", started_ms=STARTED_MS - DAY_MS - 1), outcome(1)))
        for at in range(BATCH_SIZE):
            run(ledger.settle(entry(f"{at}", started_ms=STARTED_MS - DAY_MS), outcome(1)))
        [row] = run(ledger.usage(UsageQuery("key")))
        assert row.requests == BATCH_SIZE + 1
        assert run(ledger.balances("key", "key-1")) == []


def test_memory_keeps_so_many_rows() -> None:
    ledger = SqliteLedger(BlockingSqlite(None, Time().clock), batch=5, kept_in_memory=3)
    for at in range(5):
        run_sync(ledger.settle(entry(f"{at}", started_ms=STARTED_MS + at, model=f"{at}"), outcome(1)))
    assert [row.group for row in run_sync(ledger.usage(UsageQuery("model")))] == ["1", "2", "3", "4"]
    run_sync(ledger.aclose())
