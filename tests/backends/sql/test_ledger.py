"""One contract for the ledgers of all databases."""

from decimal import Decimal

import pytest

from completions_mw.core.ports import Balance, BudgetChange, Refusal, Settlement, Tokens, UsageQuery
from tests.support.ledgers import EXPIRED, TTL_MS, Books, account, balance, entry, outcome, spend


def test_what_is_reserved_is_settled_with_what_it_cost(all_books: Books) -> None:
    run, ledger = all_books[:2]
    assert run(ledger.reserve(entry("a"), 300, [account(1000)], TTL_MS)) is None
    assert balance(all_books) == (1000, 0, 300)

    assert run(ledger.settle(entry("a"), outcome(120))) == [BudgetChange("key", "key-1", "2026-11", 1000, 120, ())]

    assert balance(all_books) == (1000, 120, 0)


def test_a_reservation_fits_to_the_last_nano_dollar_and_not_beyond(all_books: Books) -> None:
    run, ledger = all_books[:2]
    assert run(spend(ledger, "a", 600, 600, [account(1000)]))

    assert run(ledger.reserve(entry("b"), 401, [account(1000)], TTL_MS)) == Refusal(account(1000), 600, 0, True)
    assert run(ledger.reserve(entry("c"), 400, [account(1000)], TTL_MS)) is None
    assert run(ledger.reserve(entry("d"), 1, [account(1000)], TTL_MS)) == Refusal(account(1000), 600, 400, False)


@pytest.mark.parametrize("poor", [0, 1], ids=["first", "second"])
def test_two_accounts_are_charged_both_or_not_at_all(all_books: Books, poor: int) -> None:
    run, ledger = all_books[:2]
    limits = [1000, 1000]
    limits[poor] = 99
    accounts = [account(limits[0]), account(limits[1], "tenant-1", "tenant", "total")]

    refusal = run(ledger.reserve(entry("a"), 100, accounts, TTL_MS))

    assert refusal == Refusal(accounts[poor], 0, 0, True)
    assert balance(all_books) == (limits[0], 0, 0)
    assert balance(all_books, "tenant-1", "tenant") == (limits[1], 0, 0)
    assert run(spend(ledger, "b", 99, 80, accounts))
    assert balance(all_books) == (limits[0], 80, 0)
    assert balance(all_books, "tenant-1", "tenant") == (limits[1], 80, 0)


def test_everything_may_be_said_twice(all_books: Books) -> None:
    run, ledger = all_books[:2]
    for _ in range(2):
        assert run(ledger.reserve(entry("a"), 300, [account(300)], TTL_MS)) is None
    for _ in range(2):
        run(ledger.checkpoint("a", 50, Tokens(1, 1)))
    assert balance(all_books) == (300, 0, 300)
    assert len(run(ledger.settle(entry("a"), outcome(120)))) == 1
    assert run(ledger.settle(entry("a"), outcome(130))) == []
    assert run(ledger.reserve(entry("a"), 300, [account(300)], TTL_MS)) is None
    assert balance(all_books) == (300, 120, 0)
    for _ in range(2):
        assert run(ledger.reap()) == 0
    assert balance(all_books) == (300, 120, 0)


def test_an_outcome_without_a_reservation_is_a_row_and_no_charge(all_books: Books) -> None:
    run, ledger = all_books[:2]
    for _ in range(2):
        assert run(ledger.settle(entry("a"), outcome(120))) == []
    assert run(ledger.balances("key", "key-1")) == []
    [row] = run(ledger.usage(UsageQuery("key")))
    assert (row.requests, row.cost) == (1, Decimal("1.2E-7"))


def test_an_expired_reservation_is_posted_at_its_checkpoint(all_books: Books) -> None:
    run, ledger = all_books[:2]
    run(ledger.reserve(entry("a"), 300, [account(1000), account(500, "tenant-1", "tenant")], EXPIRED))
    run(ledger.checkpoint("a", 120, Tokens(10, 5)))
    run(ledger.checkpoint("a", 110, Tokens(10, 4)))

    assert run(ledger.reap()) == 1
    assert run(ledger.reap()) == 0

    assert balance(all_books) == (1000, 120, 0)
    assert balance(all_books, "tenant-1", "tenant") == (500, 120, 0)
    [row] = run(ledger.usage(UsageQuery("key")))
    assert (row.requests, row.prompt_tokens, row.completion_tokens, row.cost_nano, row.estimated) == (1, 10, 5, 120, 1)


def test_a_renewed_reservation_does_not_expire(all_books: Books) -> None:
    run, ledger = all_books[:2]
    run(ledger.reserve(entry("a"), 300, [account(1000)], EXPIRED))
    assert run(ledger.renew(["unknown", "a"], TTL_MS)) == ["unknown"]
    assert run(ledger.renew([], TTL_MS)) == []
    assert run(ledger.reap()) == 0
    assert balance(all_books) == (1000, 0, 300)


def test_a_reservation_that_was_reaped_is_taken_anew_where_there_is_room(all_books: Books) -> None:
    """Its request lives: the clock has jumped, or the worker had no turn for a while."""
    run, ledger = all_books[:2]
    accounts = [account(200), account(120, "tenant-1", "tenant")]
    run(ledger.reserve(entry("a"), 100, accounts, EXPIRED))
    run(ledger.checkpoint("a", 30, Tokens(10, 5)))
    run(ledger.reap())
    run(ledger.reserve(entry("b"), 40, accounts, TTL_MS))
    assert balance(all_books) == (200, 30, 40)

    assert run(ledger.renew(["a", "b"], TTL_MS)) == ["a"]
    assert balance(all_books) == (200, 30, 40)
    run(ledger.settle(entry("b"), outcome(20)))
    assert run(ledger.renew(["a", "b"], TTL_MS)) == []
    assert balance(all_books) == (200, 20, 100)
    assert balance(all_books, "tenant-1", "tenant") == (120, 20, 100)

    run(ledger.checkpoint("a", 60, Tokens(10, 20)))
    assert run(ledger.reap()) == 0
    run(ledger.settle(entry("a"), outcome(80)))
    assert balance(all_books) == (200, 100, 0)
    assert sum(row.cost_nano for row in run(ledger.usage(UsageQuery("key")))) == 100


def test_settled_ones_are_not_renewed_and_neither_they_nor_reaped_ones_checkpointed(all_books: Books) -> None:
    run, ledger = all_books[:2]
    run(ledger.reserve(entry("reaped"), 100, [account(1000)], EXPIRED))
    run(ledger.reap())
    run(spend(ledger, "settled", 100, 60, [account(1000)]))
    assert run(ledger.renew(["settled"], EXPIRED)) == []
    for request_id in ("reaped", "settled", "unknown"):
        run(ledger.checkpoint(request_id, 90, Tokens()))
    assert run(ledger.reap()) == 0
    assert balance(all_books) == (1000, 60, 0)
    assert sum(row.cost_nano for row in run(ledger.usage(UsageQuery("key")))) == 60


@pytest.mark.parametrize(("cost", "spent", "told"), [(200, 200, (50, 80, 100)), (100, 120, (50,))], ids=["more", "less"])
def test_a_late_settlement_corrects_upward_only_and_once(all_books: Books, cost: int, spent: int, told: tuple[int, ...]) -> None:
    run, ledger = all_books[:2]
    run(ledger.reserve(entry("a"), 150, [account(200)], EXPIRED))
    run(ledger.checkpoint("a", 120, Tokens(10, 5)))
    run(ledger.reap())

    assert run(ledger.settle(entry("a"), outcome(cost))) == [BudgetChange("key", "key-1", "2026-11", 200, spent, told)]
    assert run(ledger.settle(entry("a"), outcome(cost + 1))) == []

    assert balance(all_books) == (200, spent, 0)
    [row] = run(ledger.usage(UsageQuery("key")))
    assert (row.cost_nano, row.completion_tokens, row.estimated) == (spent, 20, 0)


def test_the_dead_make_room_before_anybody_is_refused(all_books: Books) -> None:
    run, ledger = all_books[:2]
    accounts = [account(100), account(100, "tenant-1", "tenant")]
    run(ledger.reserve(entry("dead"), 100, accounts, EXPIRED))
    run(ledger.checkpoint("dead", 10, Tokens(1)))
    assert run(ledger.reserve(entry("b"), 91, accounts, TTL_MS)) == Refusal(accounts[0], 10, 0, True)
    assert run(ledger.reserve(entry("c"), 90, accounts, TTL_MS)) is None


def test_who_holds_a_reservation_is_not_refused_when_asking_again(all_books: Books) -> None:
    run, ledger = all_books[:2]
    run(ledger.reserve(entry("a"), 100, [account(100)], TTL_MS))
    assert run(ledger.reserve(entry("a"), 100, [account(100)], TTL_MS)) is None
    assert balance(all_books) == (100, 0, 100)


def test_each_threshold_is_told_once(all_books: Books) -> None:
    run, ledger = all_books[:2]
    told = []
    for at in range(11):
        run(ledger.reserve(entry(f"{at}"), 0, [account(100)], TTL_MS))
        [change] = run(ledger.settle(entry(f"{at}"), outcome(10)))
        told.append(change.crossed)
    assert told == [(), (), (), (), (50,), (), (), (80,), (), (100,), ()]


def test_thresholds_are_told_again_only_if_a_higher_limit_took_them_back(all_books: Books) -> None:
    run, ledger = all_books[:2]

    def told(request_id: str, limit: int, cost: int) -> tuple[int, ...]:
        run(ledger.reserve(entry(request_id), 0, [account(limit)], TTL_MS))
        return run(ledger.settle(entry(request_id), outcome(cost)))[0].crossed

    assert told("a", 100, 85) == (50, 80)
    assert told("b", 110, 1) == ()
    assert told("c", 200, 13) == ()
    assert told("d", 200, 1) == (50,)
    assert told("e", 100_000, 900) == ()
    assert told("f", 2000, 600) == (50, 80)


def test_the_first_refusal_under_a_limit_is_told_once(all_books: Books) -> None:
    run, ledger = all_books[:2]

    def first(request_id: str, limit: int) -> bool:
        refusal = run(ledger.reserve(entry(request_id), 1000, [account(limit)], TTL_MS))
        assert refusal is not None
        return refusal.first

    assert [first("a", 100), first("a", 100), first("b", 100)] == [True, False, False]
    assert [first("c", 200), first("d", 200)] == [True, False]


def test_a_refusal_is_not_told_of_a_budget_that_was_told_to_be_spent(all_books: Books) -> None:
    run, ledger = all_books[:2]
    assert run(ledger.reserve(entry("a"), 100, [account(100)], TTL_MS)) is None
    [change] = run(ledger.settle(entry("a"), outcome(100)))
    assert change.crossed == (50, 80, 100)
    refusal = run(ledger.reserve(entry("b"), 1, [account(100)], TTL_MS))
    assert refusal is not None
    assert not refusal.first


def test_a_lowered_limit_refuses_and_ends_nothing(all_books: Books) -> None:
    run, ledger = all_books[:2]
    run(ledger.reserve(entry("a"), 300, [account(1000)], TTL_MS))
    assert run(ledger.reserve(entry("b"), 1, [account(200)], TTL_MS)) == Refusal(account(200), 0, 300, True)
    [change] = run(ledger.settle(entry("a"), outcome(300)))
    assert (change.limit, change.spent, change.crossed) == (200, 300, (50, 80, 100))


def test_what_costs_more_than_it_reserved_is_charged(all_books: Books) -> None:
    run, ledger = all_books[:2]
    assert run(spend(ledger, "a", 10, 5000, [account(100)]))
    assert balance(all_books) == (100, 5000, 0)


@pytest.mark.parametrize(
    "name", ["", "a\nb", "'; DROP TABLE budgets; --", '"{}%s:name', "ключ \U0001f511", "a\x00b", "\ud800", "\ufdd0d800;"]
)
def test_names_of_any_text_do_not_touch_each_other(all_books: Books, name: str) -> None:
    run, ledger = all_books[:2]
    others = ["a", "b", "a\\nb", "\ufffd", "\ufdd00;"]
    for at, other in enumerate([name, *others]):
        assert run(spend(ledger, f"{name}{at}", at, at, [account(100 + at, other)]))
    assert run(ledger.settle(entry(name, key=name, model=name, tenant=name), outcome(7)._replace(finish_reason=name, code=name))) == []

    assert run(ledger.balances("key", name)) == [Balance("key", name, "2026-11", 100, 0, 0)]
    for at, other in enumerate(others, 1):
        assert run(ledger.balances("key", other)) == [Balance("key", other, "2026-11", 100 + at, at, 0)]
    for by in ("key", "model", "tenant"):
        [row] = run(ledger.usage(UsageQuery(by, key=name)))
        assert (row.group, row.cost_nano) == (name, 7)


def test_amounts_at_the_end_of_the_integers_are_refused_or_kept(all_books: Books) -> None:
    run, ledger = all_books[:2]
    huge = 2**62
    assert run(ledger.reserve(entry("a"), huge, [account(10**10)], TTL_MS)) == Refusal(account(10**10), 0, 0, True)
    assert run(ledger.reserve(entry("b"), huge, [account(huge)], TTL_MS)) is None
    for request_id in ("c", "d"):
        assert run(ledger.reserve(entry(request_id), huge, [account(huge)], TTL_MS)) == Refusal(account(huge), 0, huge, request_id == "c")
    run(ledger.settle(entry("b"), outcome(2**80)))
    assert run(ledger.reserve(entry("e"), 1, [account(huge)], TTL_MS)) == Refusal(account(huge), 2**63 - 1, 0, False)
    run(ledger.settle(entry("f"), outcome(2**62)))
    [row] = run(ledger.usage(UsageQuery("key")))
    assert row.cost_nano == 2**63 - 1 + 2**62


def test_every_nano_dollar_is_counted(all_books: Books) -> None:
    run, ledger = all_books[:2]
    spent = 2**53
    assert run(spend(ledger, "a", spent, spent, [account(2**60)]))
    for at in range(3):
        assert run(spend(ledger, f"b{at}", 1, 1, [account(2**60)]))
    assert balance(all_books) == (2**60, spent + 3, 0)


def test_a_request_of_which_nothing_is_known_is_charged_to_its_budgets(all_books: Books) -> None:
    """A ledger that was restored from a backup has no row of a request that runs (docs/promises.md, Money)."""
    run, ledger = all_books[:2]
    accounts = [account(1000), account(5000, "tenant-1", "tenant")]
    assert run(spend(ledger, "before", 10, 10, accounts[:1]))

    changes = run(ledger.settle(entry("a"), outcome(700), accounts))

    assert {(change.scope, change.spent, change.crossed) for change in changes} == {("key", 710, (50,)), ("tenant", 700, ())}
    assert run(ledger.settle(entry("a"), outcome(700), accounts)) == []
    assert (balance(all_books), balance(all_books, "tenant-1", "tenant")) == ((1000, 710, 0), (5000, 700, 0))
    assert sum(row.cost_nano for row in run(ledger.usage(UsageQuery("key")))) == 710
    assert run(ledger.reserve(entry("b"), 291, accounts, TTL_MS)) == Refusal(accounts[0], 710, 0, True)


def test_what_a_dead_process_has_left_is_posted_unless_the_request_runs(all_books: Books) -> None:
    run, ledger = all_books[:2]
    left = Settlement(entry("a"), outcome(70), (account(1000),))
    assert run(ledger.reserve(entry("a"), 300, [account(1000)], TTL_MS)) is None
    assert run(ledger.adopt(left, TTL_MS)) is None
    assert balance(all_books) == (1000, 0, 300)

    assert run(ledger.renew(["a"], TTL_MS // 3)) == []
    assert run(ledger.adopt(left, TTL_MS)) == [BudgetChange("key", "key-1", "2026-11", 1000, 70, ())]
    assert balance(all_books) == (1000, 70, 0)
    assert run(ledger.adopt(left, TTL_MS)) == []
    assert run(ledger.adopt(left._replace(entry=entry("b")), TTL_MS)) == [BudgetChange("key", "key-1", "2026-11", 1000, 140, ())]
