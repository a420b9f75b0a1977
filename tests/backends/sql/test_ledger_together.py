"""Requests at the same time, in threads, tasks and processes: the ledgers of all databases stay exact."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from completions_mw.core.ports import StoreRefusalError, Tokens, UsageQuery
from tests.support.ledgers import EXPIRED, TTL_MS, Books, Race, account, address_of, balance, books, entry, outcome, race, spend

SHARED = ["sqlite", "postgres"]


def test_many_at_once_never_overshoot(all_books: Books) -> None:
    ledger = all_books.ledger
    accounts = [account(1000), account(700, "tenant-1", "tenant")]
    served = all_books.run.together([partial(spend, ledger, f"{at}", 50, 50, accounts) for at in range(40)])
    assert sum(served) == 14
    assert balance(all_books) == (1000, 700, 0)
    assert balance(all_books, "tenant-1", "tenant") == (700, 700, 0)


def test_many_who_settle_at_once_tell_each_threshold_once(all_books: Books) -> None:
    run, ledger = all_books[:2]
    for at in range(10):
        run(ledger.reserve(entry(f"{at}"), 100, [account(1000)], TTL_MS))
    changes = all_books.run.together([partial(ledger.settle, entry(f"{at}"), outcome(100)) for at in range(10)])
    assert sorted(threshold for [change] in changes for threshold in change.crossed) == [50, 80, 100]


def test_one_request_that_is_settled_and_reaped_at_once_is_posted_once(all_books: Books) -> None:
    run, ledger = all_books[:2]
    for at in range(10):
        run(ledger.reserve(entry(f"{at}"), 50, [account(1000)], EXPIRED))
        run(ledger.checkpoint(f"{at}", 10, Tokens(1)))

    async def settle(request_id: str) -> int:
        return len(await ledger.settle(entry(request_id), outcome(30)))

    counts = all_books.run.together(
        [work for at in range(10) for work in (partial(settle, f"{at}"), ledger.reap, partial(settle, f"{at}"))]
    )

    assert sum(counts[0::3]) + sum(counts[2::3]) == 10
    assert balance(all_books) == (1000, 300, 0)


@pytest.mark.parametrize("kind", ["sqlite-async", "postgres-async"])
def test_requests_at_the_same_time_share_transactions(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Two steps a request, and at 32 at a time less than a third of a transaction (docs/promises.md, Overload)."""
    with books(address_of(kind, request, tmp_path), blocking=False) as opened:
        opened.run(spend(opened.ledger, "first", 1, 1, [account(10**6)]))
        before = opened.database.transactions

        async def spend_often(client: int) -> int:
            return sum([await spend(opened.ledger, f"{client}-{at}", 1, 1, [account(10**6)]) for at in range(5)])

        served = sum(opened.run.together([partial(spend_often, client) for client in range(32)]))
        assert served == 32 * 5
        assert (opened.database.transactions - before) / served <= 0.3
        assert balance(opened) == (10**6, 161, 0)


@pytest.mark.parametrize("wrong", [{"status": "no number"}, {"total_ms": 2**70}], ids=["type", "size"])
def test_a_value_that_one_request_has_wrong_fails_it_alone(all_books: Books, wrong: dict[str, Any]) -> None:
    ledger = all_books.ledger

    async def settle(at: int) -> bool:
        try:
            await ledger.settle(entry(f"{at}"), outcome(1)._replace(**(wrong if at == 3 else {})))
        except StoreRefusalError:
            return False
        return True

    assert all_books.run.together([partial(settle, at) for at in range(8)]) == [at != 3 for at in range(8)]


@pytest.mark.soak
@pytest.mark.parametrize("kind", SHARED)
def test_four_processes_never_overshoot(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    address = address_of(kind, request, tmp_path)
    shared = account(1000, "tenant-1", "tenant")
    runners = [Race(address, f"{at}", 50, 10, (account(300, f"key-{at}"), shared)) for at in range(4)]

    refusals = race(runners)

    assert 200 - sum(map(len, refusals)) == 100
    with books(address, blocking=True) as opened:
        assert balance(opened, "tenant-1", "tenant") == (1000, 1000, 0)
        spent = [balance(opened, f"key-{at}")[1] for at in range(4)]
        assert sum(spent) == 1000
        assert max(spent) <= 300
        assert sum(row.cost_nano for row in opened.run(opened.ledger.usage(UsageQuery("key")))) == 1000
    firsts = [refusal.account.scope for each in refusals for refusal in each if refusal.first]
    # The settlement that reached 100 per cent may have told it already.
    assert firsts.count("tenant") <= 1
