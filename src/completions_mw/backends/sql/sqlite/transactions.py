"""The transactions of the ledger in SQLite. No other transaction writes meanwhile, so amounts are computed in Python."""

from collections.abc import Sequence
from typing import NamedTuple

from completions_mw.backends.sql.ledger_rows import entry_params, old_periods, outcome_params
from completions_mw.backends.sql.sqlite.file import Transaction
from completions_mw.backends.sql.values import MAX_INTEGER
from completions_mw.core.ports import THRESHOLDS, Account, BudgetChange, Entry, Outcome, Refusal


class BudgetRow(NamedTuple):
    """A row of the table `budgets`; amounts in nano-dollars."""

    id: int
    scope: str
    name: str
    period: str
    limit: int
    spent: int
    reserved: int
    told: int
    refused: int

    def has_room(self, amount: int) -> bool:
        """Tell whether the budget has room for a reservation of `amount`."""
        return self.spent + self.reserved + amount <= self.limit

    def reached(self) -> int:
        """Return the highest threshold that was reached, in percent of the limit; 0 for none."""
        return max((threshold for threshold in THRESHOLDS if self.spent > 0 and self.limit * threshold <= self.spent * 100), default=0)


class EntryRow(NamedTuple):
    """The columns of a row of the table `entries` that are about money; amounts in nano-dollars."""

    state: str
    reserved: int
    amount: int
    budget_id: int | None
    tenant_budget_id: int | None


class LedgerTransaction:
    """One step of the ledger.

    Args:
        transaction: the transaction under way, in which the step is done.
    """

    __slots__ = ("_change", "_fetch")

    def __init__(self, transaction: Transaction) -> None:
        self._fetch = transaction.fetch
        self._change = transaction.change

    def reserve(self, entry: Entry, amount: int, accounts: Sequence[Account], now: int, expires_ms: int) -> Refusal | None:
        """Reserve `amount` in all accounts or in none; return why not, or None.

        Args:
            entry: the request.
            amount: nano-dollars.
            accounts: at most one of a key or caller, and at most one of a tenant.
            now: the time in milliseconds.
            expires_ms: the time at which the reservation expires.
        """
        if self._find(entry.request_id) is not None:
            return None
        budgets = [self._budget_of(account) for account in accounts]
        if not all(budget.has_room(amount) for budget in budgets) and self.reap(now):
            budgets = [self._budget_of(account) for account in accounts]
        for account, budget in zip(accounts, budgets, strict=True):
            if not budget.has_room(amount):
                self._change("ledger_refuse", id=budget.id)
                return Refusal(account, budget.spent, budget.reserved, not budget.refused and budget.told < THRESHOLDS[-1])
        for budget in budgets:
            self._change("ledger_hold", id=budget.id, amount=amount)
        ids = {budget.scope == "tenant": budget.id for budget in budgets}
        held = {"amount": amount, "expires_ms": expires_ms, "budget_id": ids.get(False), "tenant_budget_id": ids.get(True)}
        self._change("ledger_reserve", **entry_params(entry), **held)
        return None

    def settle(self, entry: Entry, outcome: Outcome) -> list[BudgetChange]:
        """Post the cost of a request, once; return how its budgets changed."""
        old = self._find(entry.request_id)
        if old is None:
            self._change("ledger_insert", **entry_params(entry), **outcome_params(outcome))
            return []
        if old.state == "settled":
            return []
        late = old.state == "reaped"
        cost = min(outcome.cost, MAX_INTEGER)
        amount = max(cost, old.amount) if late else cost
        adjustment = amount - old.amount if late else 0
        final = {**outcome_params(outcome), "cost": amount, "adjustment": adjustment, "request_id": entry.request_id}
        self._change("ledger_settle", **final)
        charged, released = (adjustment, 0) if late else (amount, old.reserved)
        return [change for id in (old.budget_id, old.tenant_budget_id) for change in self._post(id, charged, released)]

    def renew(self, request_ids: Sequence[str], expires_ms: int) -> list[str]:
        """Extend reservations; return the requests whose reservation is lost."""
        return [
            request_id
            for request_id in request_ids
            if not self._change("ledger_renew", request_id=request_id, expires_ms=expires_ms) and not self._restore(request_id, expires_ms)
        ]

    def reap(self, now: int) -> int:
        """Post expired reservations at their checkpoints; return the number of reservations."""
        expired = self._fetch("ledger_expired", now=now)
        for request_id, reserved, amount, *budget_ids in expired:
            self._change("ledger_reap", request_id=request_id)
            for id in budget_ids:
                self._charge(id, amount, reserved)
        return len(expired)

    def prune(self, before_ms: int, batch: int) -> bool:
        """Remove at most `batch` old rows; tell whether there may be more."""
        if self._change("ledger_prune", before_ms=before_ms, batch=batch) == batch:
            return True
        return self._change("ledger_prune_budgets", **old_periods(before_ms), batch=batch) == batch

    def _find(self, request_id: str) -> EntryRow | None:
        rows = self._fetch("ledger_find", request_id=request_id)
        return EntryRow(*rows[0]) if rows else None

    def _restore(self, request_id: str, expires_ms: int) -> bool:
        """Restore a reservation that was reaped, if budgets have room; tell whether the request has a reservation."""
        entry = self._find(request_id)
        if entry is None:
            return False
        if entry.state == "reaped":
            ids = [id for id in (entry.budget_id, entry.tenant_budget_id) if id is not None]
            budgets = [BudgetRow(*row) for id in ids for row in self._fetch("ledger_budget_by_id", id=id)]
            if not all(budget.has_room(entry.reserved - entry.amount) for budget in budgets):
                return False
            for budget in budgets:
                spent, reserved = max(budget.spent - entry.amount, 0), budget.reserved + entry.reserved
                self._change("ledger_charge", id=budget.id, spent=spent, reserved=reserved)
            self._change("ledger_restore", request_id=request_id, expires_ms=expires_ms)
        return True

    def _budget_of(self, account: Account) -> BudgetRow:
        """Return the budget of an account, with the account's current limit."""
        key = {"scope": account.scope, "name": account.name, "period": account.period}
        limit = min(account.limit, MAX_INTEGER)
        rows = self._fetch("ledger_budget", **key)
        if not rows:
            self._change("ledger_open", **key, limit=limit)
            rows = self._fetch("ledger_budget", **key)
        budget = BudgetRow(*rows[0])
        if budget.limit != limit:
            # A threshold that is not reached under the new limit is reported once it is reached again.
            budget = budget._replace(limit=limit, refused=0)
            budget = budget._replace(told=min(budget.told, budget.reached()))
            self._change("ledger_limit", id=budget.id, limit=limit, told=budget.told)
        return budget

    def _post(self, id: int | None, charged: int, released: int) -> list[BudgetChange]:
        """Charge a budget; return its change with the thresholds that it crosses, or nothing where there is no budget."""
        budget = self._charge(id, charged, released)
        if budget is None:
            return []
        told = tuple(threshold for threshold in THRESHOLDS if budget.told < threshold <= budget.reached())
        if told:
            self._change("ledger_tell", id=id, told=told[-1])
        return [BudgetChange(budget.scope, budget.name, budget.period, budget.limit, budget.spent, told)]

    def _charge(self, id: int | None, charged: int, released: int) -> BudgetRow | None:
        """Charge a budget and return it as it is then; None where there is no budget, or no longer."""
        for row in self._fetch("ledger_budget_by_id", id=id) if id is not None else ():
            budget = BudgetRow(*row)
            budget = budget._replace(spent=min(budget.spent + charged, MAX_INTEGER), reserved=budget.reserved - released)
            self._change("ledger_charge", id=id, spent=budget.spent, reserved=budget.reserved)
            return budget
        return None
