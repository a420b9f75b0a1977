"""The ledger against a model of it: random steps with virtual time (docs/promises.md, Money)."""

import shutil
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from completions_mw.core.ports import Account, Refusal, Tokens, UsageQuery
from tests.support.ledgers import Time, books, entry, outcome

TTL_MS: Final = 10_000
LIMITS: Final = {"key": 100, "tenant": 150}
STEPS_OF_A_SOAK: Final = 100_000

requests = st.sampled_from("abcde")
amounts = st.sampled_from([0, 1, 5, 10, 25, 30, 50])
budgets = st.lists(st.sampled_from(["key", "tenant"]), min_size=1, max_size=2, unique=True)


@dataclass
class Row:
    """A request as the model knows it."""

    state: str
    scopes: list[str]
    reserved: int = 0
    amount: int = 0
    expires: float = 0.0


@dataclass
class Sums:
    """A budget as the model knows it."""

    limit: int
    spent: int = 0
    overage: int = 0
    """What was spent beyond reservations: only so much may be above the limit."""
    told: set[int] = field(default_factory=set)
    refused: bool = False


class LedgerMachine(RuleBasedStateMachine):
    """Two budgets, and few requests that much happens to."""

    address = "memory://"

    def __init__(self) -> None:
        super().__init__()
        self.time = Time()
        self.stack = ExitStack()
        self.rows: dict[str, Row] = {}
        self.sums = {scope: Sums(limit) for scope, limit in LIMITS.items()}

    @initialize()
    def open(self) -> None:
        self.run, self.ledger, *_ = self.stack.enter_context(books(self.make_address(), blocking=True, clock=self.time.clock))

    def make_address(self) -> str:
        return "memory://"

    def teardown(self) -> None:
        self.stack.close()

    @rule(id=requests, amount=amounts, scopes=budgets)
    def reserve(self, id: str, amount: int, scopes: list[str]) -> None:
        accounts = [Account(scope, "one", "total", self.sums[scope].limit) for scope in scopes]
        expected = self._expect(id, amount, sorted(scopes))
        assert self.run(self.ledger.reserve(entry(id), amount, accounts, TTL_MS)) == expected

    def _expect(self, id: str, amount: int, scopes: list[str]) -> Refusal | None:
        if id in self.rows:
            return None
        if not all(self._fits(scope, amount) for scope in scopes):
            self._reap()
        for scope in scopes:
            if not self._fits(scope, amount):
                sums = self.sums[scope]
                first, sums.refused = not sums.refused and 100 not in sums.told, True
                return Refusal(Account(scope, "one", "total", sums.limit), sums.spent, self._reserved(scope), first)
        self.rows[id] = Row("reserved", scopes, amount, 0, self.time.now + TTL_MS / 1000)
        return None

    @rule(id=requests, amount=amounts)
    def checkpoint(self, id: str, amount: int) -> None:
        self.run(self.ledger.checkpoint(id, amount, Tokens(completion=amount)))
        row = self.rows.get(id)
        if row is not None and row.state == "reserved":
            row.amount = max(row.amount, amount)

    @rule(id=requests, cost=amounts)
    def settle(self, id: str, cost: int) -> None:
        changes = self.run(self.ledger.settle(entry(id), outcome(cost)))
        row = self.rows.setdefault(id, Row("new", []))
        if row.state == "settled":
            assert changes == []
            return
        posted = max(cost - row.amount, 0) if row.state == "reaped" else cost
        self._post(row, posted, 0 if row.state == "reaped" else row.reserved)
        row.amount = row.amount + posted if row.state == "reaped" else cost
        row.state = "settled"
        assert {change.scope: (change.spent, change.crossed) for change in changes} == self._told(row.scopes)

    @rule(ids=st.lists(requests, max_size=4))
    def renew(self, ids: list[str]) -> None:
        assert self.run(self.ledger.renew(ids, TTL_MS)) == [id for id in ids if not self._renew(id)]

    def _renew(self, id: str) -> bool:
        row = self.rows.get(id)
        if row is None:
            return False
        if row.state == "reaped":
            if not all(self._fits(scope, row.reserved - row.amount) for scope in row.scopes):
                return False
            for scope in row.scopes:
                self.sums[scope].spent -= row.amount
            row.state = "reserved"
        if row.state == "reserved":
            row.expires = self.time.now + TTL_MS / 1000
        return True

    @rule(id=requests, amount=amounts, checkpoint=amounts, cost=amounts, scopes=budgets)
    def outlive(self, id: str, amount: int, checkpoint: int, cost: int, scopes: list[str]) -> None:
        """A request that is settled after it counts as lost, which is rare where each step is drawn by itself."""
        self.reserve(id, amount, scopes)
        self.checkpoint(id, checkpoint)
        self.advance(TTL_MS // 1000)
        self.reap()
        self.settle(id, cost)

    @rule()
    def reap(self) -> None:
        assert self.run(self.ledger.reap()) == self._reap()

    @rule(seconds=st.sampled_from([1, 9, 10]))
    def advance(self, seconds: int) -> None:
        self.time.now += seconds

    @rule(scope=st.sampled_from(["key", "tenant"]), limit=st.sampled_from([50, 60, 100, 400]))
    def change_limit(self, scope: str, limit: int) -> None:
        """A limit counts from the next reservation on, which this one is."""
        sums = self.sums[scope]
        account = Account(scope, "one", "total", limit)
        if sums.limit != limit:
            sums.limit, sums.refused = limit, False
            sums.told &= self._reached(sums)
            # From here on only what is spent beyond reservations may be above the limit.
            sums.overage = max(sums.overage, sums.spent + self._reserved(scope) - limit)
        id = f"limit-{len(self.rows)}"
        expected = self._expect(id, 0, [scope])
        assert self.run(self.ledger.reserve(entry(id), 0, [account], TTL_MS)) == expected

    @invariant()
    def what_is_held_and_spent_is_what_the_model_says(self) -> None:
        for scope, sums in self.sums.items():
            for balance in self.run(self.ledger.balances(scope, "one")):
                assert (balance.spent, balance.reserved) == (sums.spent, self._reserved(scope))
                assert balance.spent + balance.reserved <= sums.limit + sums.overage

    @invariant()
    def the_rows_add_up_to_the_counters(self) -> None:
        [posted] = [row.cost_nano for row in self.run(self.ledger.usage(UsageQuery("key")))] or [0]
        assert posted == sum(row.amount for row in self.rows.values() if row.state != "reserved")
        for scope, sums in self.sums.items():
            assert sums.spent == sum(row.amount for row in self._of(scope) if row.state != "reserved")

    def _of(self, scope: str) -> list[Row]:
        return [row for row in self.rows.values() if scope in row.scopes]

    def _reserved(self, scope: str) -> int:
        return sum(row.reserved for row in self._of(scope) if row.state == "reserved")

    def _fits(self, scope: str, amount: int) -> bool:
        return self.sums[scope].spent + self._reserved(scope) + amount <= self.sums[scope].limit

    def _reap(self) -> int:
        expired = [row for row in self.rows.values() if row.state == "reserved" and row.expires <= self.time.now]
        for row in expired:
            self._post(row, row.amount, row.reserved)
            row.state = "reaped"
        return len(expired)

    def _post(self, row: Row, amount: int, released: int) -> None:
        for scope in row.scopes:
            self.sums[scope].spent += amount
            self.sums[scope].overage += max(amount - released, 0)

    def _told(self, scopes: list[str]) -> Mapping[str, tuple[int, tuple[int, ...]]]:
        told = {}
        for scope in scopes:
            sums = self.sums[scope]
            news = self._reached(sums) - sums.told
            sums.told |= news
            told[scope] = (sums.spent, tuple(sorted(news)))
        return told

    @staticmethod
    def _reached(sums: Sums) -> set[int]:
        return {threshold for threshold in (50, 80, 100) if sums.spent and sums.spent * 100 >= sums.limit * threshold}


class FileMachine(LedgerMachine):
    """The same in a file."""

    def make_address(self) -> str:
        folder = tempfile.mkdtemp()
        self.stack.callback(shutil.rmtree, folder)
        return f"sqlite:///{Path(folder, 'ledger.db')}"


CHECKS = [HealthCheck.too_slow, HealthCheck.filter_too_much]


@pytest.mark.parametrize(("machine", "examples"), [(LedgerMachine, 100), (FileMachine, 20)], ids=["memory", "file"])
def test_random_steps(machine: type[LedgerMachine], examples: int) -> None:
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=30, deadline=None, suppress_health_check=CHECKS)
    )


@pytest.mark.soak
def test_a_hundred_thousand_random_steps() -> None:
    steps = 100
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=STEPS_OF_A_SOAK // steps, stateful_step_count=steps, deadline=None, suppress_health_check=CHECKS, database=None
        ),
    )
