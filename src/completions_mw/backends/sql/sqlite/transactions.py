"""What the ledger does in SQLite, each in one transaction that nobody else writes beside: so its arithmetic is Python's."""

from collections.abc import Sequence
from typing import NamedTuple

from completions_mw.backends.sql.ledger_rows import entry_params, old_periods, outcome_params
from completions_mw.backends.sql.sqlite.file import Session
from completions_mw.backends.sql.values import MAX_INTEGER
from completions_mw.core.ports import THRESHOLDS, Account, BudgetChange, Entry, Outcome, Refusal


class BudgetRow(NamedTuple):
    """A row of `budgets`."""

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
        """Tell whether `amount` more can be reserved."""
        return self.spent + self.reserved + amount <= self.limit

    def reached(self) -> int:
        """Return the highest threshold that was reached, 0 for none."""
        return max((threshold for threshold in THRESHOLDS if self.spent > 0 and self.limit * threshold <= self.spent * 100), default=0)


class _Entry(NamedTuple):
    state: str
    reserved: int
    amount: int
    budget_id: int | None
    tenant_budget_id: int | None


def reserve(session: Session, entry: Entry, amount: int, accounts: Sequence[Account], now: int, expires_ms: int) -> Refusal | None:
    """Hold `amount` in all accounts or in none."""
    if session.fetch("ledger_find", request_id=entry.request_id):
        return None
    budgets = [_budget_of(session, account) for account in accounts]
    if not all(budget.has_room(amount) for budget in budgets) and reap(session, now):
        budgets = [_budget_of(session, account) for account in accounts]
    for account, budget in zip(accounts, budgets, strict=True):
        if not budget.has_room(amount):
            session.change("ledger_refuse", id=budget.id)
            return Refusal(account, budget.spent, budget.reserved, not budget.refused and budget.told < THRESHOLDS[-1])
    for budget in budgets:
        session.change("ledger_hold", id=budget.id, amount=amount)
    ids = {account.scope == "tenant": budget.id for account, budget in zip(accounts, budgets, strict=True)}
    held = {"budget_id": ids.get(False), "tenant_budget_id": ids.get(True)}
    session.change("ledger_reserve", **entry_params(entry), amount=amount, expires_ms=expires_ms, **held)
    return None


def settle(session: Session, entry: Entry, outcome: Outcome) -> list[BudgetChange]:
    """Post what a request cost, once."""
    found = session.fetch("ledger_find", request_id=entry.request_id)
    if not found:
        session.change("ledger_insert", **entry_params(entry), **outcome_params(outcome))
        return []
    old = _Entry(*found[0])
    if old.state == "settled":
        return []
    late = old.state == "reaped"
    cost = min(outcome.cost, MAX_INTEGER)
    amount = max(cost, old.amount) if late else cost
    adjustment = amount - old.amount if late else 0
    final = {**outcome_params(outcome), "cost": amount, "adjustment": adjustment, "request_id": entry.request_id}
    session.change("ledger_settle", **final)
    charged, released = (adjustment, 0) if late else (amount, old.reserved)
    return [change for id in (old.budget_id, old.tenant_budget_id) for change in _posted(session, id, charged, released)]


def renew(session: Session, request_ids: Sequence[str], expires_ms: int) -> list[str]:
    """Extend reservations; return the requests that lost theirs."""
    return [
        request_id
        for request_id in request_ids
        if not session.change("ledger_renew", request_id=request_id, expires_ms=expires_ms)
        and not _restore(session, request_id, expires_ms)
    ]


def reap(session: Session, now: int) -> int:
    """Post expired reservations at their checkpoints; return how many."""
    expired = session.fetch("ledger_expired", now=now)
    for request_id, reserved, amount, *budgets in expired:
        session.change("ledger_reap", request_id=request_id)
        for id in budgets:
            _charge(session, id, amount, reserved)
    return len(expired)


def prune(session: Session, before_ms: int, batch: int) -> bool:
    """Forget some of what is old; tell whether there may be more."""
    if session.change("ledger_prune", before_ms=before_ms, batch=batch) == batch:
        return True
    return session.change("ledger_prune_budgets", **old_periods(before_ms), batch=batch) == batch


def _restore(session: Session, request_id: str, expires_ms: int) -> bool:
    """Undo that a reservation was reaped, if there is room; tell whether the request has nothing to fear."""
    found = session.fetch("ledger_find", request_id=request_id)
    if not found:
        return False
    entry = _Entry(*found[0])
    if entry.state == "reaped":
        ids = [id for id in (entry.budget_id, entry.tenant_budget_id) if id is not None]
        budgets = [BudgetRow(*row) for id in ids for row in session.fetch("ledger_budget_by_id", id=id)]
        if not all(budget.has_room(entry.reserved - entry.amount) for budget in budgets):
            return False
        for budget in budgets:
            spent, reserved = max(budget.spent - entry.amount, 0), budget.reserved + entry.reserved
            session.change("ledger_charge", id=budget.id, spent=spent, reserved=reserved)
        session.change("ledger_restore", request_id=request_id, expires_ms=expires_ms)
    return True


def _budget_of(session: Session, account: Account) -> BudgetRow:
    key = {"scope": account.scope, "name": account.name, "period": account.period}
    limit = min(account.limit, MAX_INTEGER)
    rows = session.fetch("ledger_budget", **key)
    if not rows:
        session.change("ledger_open", **key, limit=limit)
        rows = session.fetch("ledger_budget", **key)
    budget = BudgetRow(*rows[0])
    return budget if budget.limit == limit else _under(session, budget, limit)


def _under(session: Session, budget: BudgetRow, limit: int) -> BudgetRow:
    # What is no longer reached under the new limit will be told when it is reached again.
    budget = budget._replace(limit=limit, refused=0)
    budget = budget._replace(told=min(budget.told, budget.reached()))
    session.change("ledger_limit", id=budget.id, limit=limit, told=budget.told)
    return budget


def _posted(session: Session, id: int | None, charged: int, released: int) -> list[BudgetChange]:
    budget = _charge(session, id, charged, released)
    if budget is None:
        return []
    told = tuple(threshold for threshold in THRESHOLDS if budget.told < threshold <= budget.reached())
    if told:
        session.change("ledger_tell", id=id, told=told[-1])
    return [BudgetChange(budget.scope, budget.name, budget.period, budget.limit, budget.spent, told)]


def _charge(session: Session, id: int | None, charged: int, released: int) -> BudgetRow | None:
    """Return the budget as it stands then; None where there is none, or none any more."""
    for row in session.fetch("ledger_budget_by_id", id=id) if id is not None else ():
        budget = BudgetRow(*row)
        budget = budget._replace(spent=min(budget.spent + charged, MAX_INTEGER), reserved=budget.reserved - released)
        session.change("ledger_charge", id=id, spent=budget.spent, reserved=budget.reserved)
        return budget
    return None
