"""Whose budget a request is charged to, in which period, and what the operator is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from completions_mw import Budget, BudgetAlert, BudgetExceededError, Caller, ServiceUnavailableError, Settings
from completions_mw.backends.sql import ledger_on, open_database
from completions_mw.blocking import run_sync
from completions_mw.core.budgets.budgets import Budgets, OnBudget
from completions_mw.core.context import RequestContext
from completions_mw.core.ports import Account, Entry, Outcome, Tokens
from tests.support.fake_clock import FakeClock
from tests.support.logs import line

NOVEMBER = datetime(2026, 11, 23, 4, 30, tzinfo=UTC).timestamp()
TEN = Budget(usd=Decimal(10), period="month")
ONE = Budget(usd=Decimal("1.000000001"), period="day")
SETTINGS: dict[str, Any] = {
    "tenants": {"acme": {"budget": {"usd": "100", "period": "total"}}, "idle": {}},
    "callers": {"budget": {"usd": "0.5", "period": "hour"}},
    "stores": {"ledger": "memory://"},
}
OWN, DAILY = Account("key", "ada", "2026-11", 10**10), Account("key", "ada", "2026-11-23", 10**9 + 1)
GENERAL, SHARED = Account("caller", "ada", "2026-11-23T04", 5 * 10**8), Account("tenant", "acme", "total", 10**11)


CANARY = "canary"


class Bank:
    """Budgets over a real ledger in memory, in the time of a fake clock."""

    def __init__(self, on_budget: OnBudget | None = None, **settings: Any) -> None:
        self.time = FakeClock(NOVEMBER)
        clock = self.time.clock()
        self.ledger = ledger_on(open_database("memory://", blocking=True, clock=clock))
        self.budgets = Budgets(self.ledger, Settings.from_mapping({**SETTINGS, **settings}), clock, 30_000, on_budget)
        self.exchange = RequestContext(clock, debug=False)
        self._count = 0

    def accounts(self, caller: Caller | None) -> list[Account]:
        return [share.account for share in self.budgets.budgets_for(caller)]

    def reserve(self, caller: Caller, amount: int) -> Entry:
        self._count += 1
        entry = Entry(f"req_{self._count}", caller.scope, caller.id, caller.tenant, "m", False, 0)
        run_sync(self.budgets.reserve(entry, amount, self.budgets.budgets_for(caller), self.exchange))
        return entry

    def spend(self, caller: Caller, amount: int) -> None:
        outcome = Outcome(200, None, "echo/m", "stop", Tokens(), amount, False, None, 1)
        run_sync(self.budgets.notify(run_sync(self.ledger.settle(self.reserve(caller, amount), outcome)), self.exchange))

    def refuse(self, caller: Caller, amount: int) -> str:
        with pytest.raises(BudgetExceededError) as caught:
            self.reserve(caller, amount)
        assert dict(caught.value.headers) == {"x-should-retry": "false"}
        return caught.value.message


CHARGED: dict[str, tuple[Caller | None, list[Account]]] = {
    "app": (None, []),
    "key": (Caller("ada", scope="key"), []),
    "key-with-budget": (Caller("ada", scope="key", budget=TEN), [OWN]),
    "nano-dollars": (Caller("ada", scope="key", budget=ONE), [DAILY]),
    "caller": (Caller("ada"), [GENERAL]),
    "caller-with-budget": (Caller("ada", budget=TEN), [OWN._replace(scope="caller")]),
    "tenant": (Caller("ada", scope="key", tenant="acme"), [SHARED]),
    "both": (Caller("ada", scope="key", tenant="acme", budget=TEN), [OWN, SHARED]),
    "tenant-without": (Caller("ada", scope="key", tenant="idle"), []),
}


@pytest.mark.parametrize(("caller", "accounts"), CHARGED.values(), ids=CHARGED)
def test_whom_a_request_is_charged_to(caller: Caller | None, accounts: list[Account]) -> None:
    assert Bank().accounts(caller) == accounts


def test_a_caller_that_is_known_has_the_rules_and_the_periods_of_its_next_request() -> None:
    bank = Bank()
    for caller, accounts in [*CHARGED.values()] * 2:
        assert bank.accounts(caller) == accounts
        assert bank.accounts(caller) == accounts
    bank.time.advance(-3600)
    assert bank.accounts(Caller("ada")) == [GENERAL._replace(period="2026-11-23T03")]


@pytest.mark.parametrize(
    ("period", "name", "resets"),
    [
        ("hour", "2026-11-23T04", " It resets at 2026-11-23T05:00:00Z."),
        ("day", "2026-11-23", " It resets at 2026-11-24T00:00:00Z."),
        ("week", "2026-W48", " It resets at 2026-11-30T00:00:00Z."),
        ("month", "2026-11", " It resets at 2026-12-01T00:00:00Z."),
        ("total", "total", ""),
    ],
)
def test_each_period_has_its_budget(period: Any, name: str, resets: str) -> None:
    bank = Bank()
    caller = Caller("ada", budget=Budget(usd=Decimal(1), period=period))
    bank.spend(caller, 10**9)
    assert bank.refuse(caller, 1).endswith(f"budget.{resets}")
    assert bank.accounts(caller)[0].period == name
    bank.time.advance(31 * 86_400)
    if period == "total":
        bank.refuse(caller, 1)
    else:
        bank.spend(caller, 10**9)


def test_all_or_nothing() -> None:
    bank = Bank()
    rich, poor = (Caller("ada", tenant="acme", budget=Budget(usd=Decimal(usd), period="total")) for usd in (1000, 1))
    bank.refuse(poor, 2 * 10**9)
    assert "this tenant has spent $0.00 of its $100.00 total budget, and this request may cost $200.00." in bank.refuse(rich, 200 * 10**9)
    assert [run_sync(bank.ledger.balances(*of))[0][4:] for of in (("caller", "ada"), ("tenant", "acme"))] == [(0, 0), (0, 0)]


def test_the_hook_is_told_of_each_threshold_once() -> None:
    alerts: list[BudgetAlert] = []
    bank = Bank(alerts.append)
    caller = Caller("ada", budget=Budget(usd=Decimal("1"), period="month"))
    for _ in range(10):
        bank.spend(caller, 10**8)
    for _ in range(3):
        bank.refuse(caller, 1)
    assert alerts == [BudgetAlert("caller", "ada", "2026-11", Decimal(1), Decimal(at) / 100, at) for at in (50, 80, 100)]


def test_the_hook_is_told_of_all_thresholds_that_are_passed_at_once() -> None:
    alerts: list[BudgetAlert] = []
    bank = Bank(alerts.append)
    bank.spend(Caller("ada", tenant="acme", budget=Budget(usd=Decimal("90"), period="total")), 90 * 10**9)
    assert [(alert.scope, alert.threshold) for alert in alerts] == [
        *[("caller", threshold) for threshold in (50, 80, 100)],
        *[("tenant", threshold) for threshold in (50, 80)],
    ]


def test_a_refusal_before_anything_was_spent_is_told_once() -> None:
    alerts: list[BudgetAlert] = []
    bank = Bank(alerts.append)
    for _ in range(3):
        bank.refuse(Caller("ada", budget=TEN), 11 * 10**9)
    assert [(alert.spent, alert.threshold, alert.refused) for alert in alerts] == [(Decimal(0), 0, True)]


def test_an_async_hook_is_awaited() -> None:
    told: list[int] = []

    async def hook(alert: BudgetAlert) -> None:
        told.append(alert.threshold)

    Bank(hook).spend(Caller("ada", budget=TEN), 5 * 10**9)
    assert told == [50]


@contextmanager
def fault_logged(caplog: pytest.LogCaptureFixture, event: str) -> Iterator[None]:
    yield
    [found] = [line(record) for record in caplog.records]
    assert (found["event"], found["error"]) == (event, "RuntimeError")
    assert CANARY not in caplog.text


def broken(_: BudgetAlert) -> None:
    raise RuntimeError(CANARY)


def test_a_hook_that_fails_fails_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    """See docs/promises.md, Hosts and servers."""
    bank = Bank(broken)
    with fault_logged(caplog, "hook_failed"):
        bank.spend(Caller("ada", budget=TEN), 5 * 10**9)


def test_a_hook_that_fails_beside_requests_is_logged_too(caplog: pytest.LogCaptureFixture) -> None:
    bank = Bank(broken)
    entry = bank.reserve(Caller("ada", budget=TEN), 10**10)
    movements = run_sync(bank.ledger.settle(entry, Outcome(200, None, None, None, Tokens(), 5 * 10**9, False, None, 1)))
    with fault_logged(caplog, "hook_failed"):
        run_sync(bank.budgets.notify(movements, None))


def test_without_a_ledger_nobody_with_a_budget_is_served(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock().clock()
    budgets = Budgets(None, Settings(), clock, 1000, None)
    caller = Caller("ada", budget=TEN)
    exchange = RequestContext(clock, debug=False)
    with pytest.raises(ServiceUnavailableError) as caught:
        run_sync(budgets.reserve(Entry("req_1", "caller", "ada", "ada", "m", False, 0), 1, budgets.budgets_for(caller), exchange))
    assert caught.value.code == "budget_unavailable"
    [found] = [line(record) for record in caplog.records]
    assert (found["event"], found["missing"]) == ("no_ledger", "stores.ledger")
