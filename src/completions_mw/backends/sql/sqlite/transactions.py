"""The steps of the ledger in SQLite. No other transaction writes meanwhile, so amounts are computed in Python."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from completions_mw.backends.sql.ledger_rows import outcome_row
from completions_mw.backends.sql.sqlite.books import Books
from completions_mw.backends.sql.sqlite.file import Transaction
from completions_mw.backends.sql.sqlite.rows import BudgetRow, EntryRow
from completions_mw.backends.sql.values import MAX_INTEGER
from completions_mw.core.ports import THRESHOLDS, Account, BudgetChange, Entry, Outcome, Refusal, Settlement, Tokens


class LedgerTransaction:
    """One transaction of the ledger, with any number of steps.

    Args:
        books: the rows that the transaction reads and changes.
        now: the time in milliseconds.
        reaping_time: the time at which expired reservations may be reaped; None while none may.
    """

    __slots__ = ("_books", "_now", "_reaping_time")

    def __init__(self, books: Books, now: int, reaping_time: int | None) -> None:
        self._books = books
        self._now = now
        self._reaping_time = reaping_time

    def reserve(self, entry: Entry, amount: int, accounts: Sequence[Account], ttl_ms: int) -> Refusal | None:
        """Reserve `amount` in all accounts or in none; return why not, or None.

        Args:
            entry: the request.
            amount: nano-dollars.
            accounts: at most one of a key or caller, and at most one of a tenant.
            ttl_ms: milliseconds until the reservation expires.
        """
        if self._books.entry(entry.request_id) is not None:
            return None
        budgets = [self._books.budget(account) for account in accounts]
        full = _without_room(budgets, amount)
        if full is not None and self.reap():
            full = _without_room(budgets, amount)
        if full is not None:
            return self._refusal(accounts[budgets.index(full)], full)
        amount = min(amount, MAX_INTEGER)
        row = EntryRow(entry.request_id, "reserved", amount, 0, None, None, self._now + ttl_ms)
        for budget in budgets:
            budget.reserved += amount
            budget.is_changed = True
            if budget.scope == "tenant":
                row.tenant_budget_id = budget.id
            else:
                row.budget_id = budget.id
        self._books.put("ledger_reserve", row, (*entry, amount, row.expires_ms, row.budget_id, row.tenant_budget_id))
        return None

    def checkpoint(self, request_id: str, amount: int, tokens: Tokens) -> None:
        """Note the cost of a stream so far; one that comes late does not undo a later one."""
        row = self._books.entry(request_id)
        amount = min(amount, MAX_INTEGER)
        if row is not None and row.state == "reserved" and row.amount <= amount:
            row.amount = amount
            self._books.put("ledger_checkpoint", row, (request_id, amount, *tokens.columns))

    def adopt(self, settlement: Settlement, lease_ms: int) -> list[BudgetChange] | None:
        """Post a settlement that a dead process has left; None if the request was renewed less than half a lease ago, so that it runs."""
        row = self._books.entry(settlement.entry.request_id)
        if row is not None and row.state == "reserved" and row.expires_ms is not None and row.expires_ms - self._now > lease_ms // 2:
            return None
        return self.settle(*settlement)

    def settle(self, entry: Entry, outcome: Outcome, accounts: Sequence[Account] = ()) -> list[BudgetChange]:
        """Post the cost of a request, once; return how its budgets changed."""
        row = self._books.entry(entry.request_id)
        cost = min(outcome.cost, MAX_INTEGER)
        if row is None:
            self._books.put("ledger_settle", EntryRow(entry.request_id, "settled", 0, cost), (*entry, cost, 0, *outcome_row(outcome)))
            return [_post(self._books.budget(account), cost, 0) for account in accounts]
        if row.state == "settled":
            return []
        late = row.state == "reaped"
        amount = max(cost, row.amount) if late else cost
        adjustment = amount - row.amount if late else 0
        charged, released = (adjustment, 0) if late else (amount, row.reserved)
        row.state, row.amount = "settled", amount
        self._books.put("ledger_settle", row, (*entry, amount, adjustment, *outcome_row(outcome)))
        return [_post(budget, charged, released) for budget in self._books.budgets_of(row)]

    def renew(self, request_ids: Sequence[str], ttl_ms: int) -> list[str]:
        """Extend reservations; return the requests whose reservation is lost."""
        return [request_id for request_id in request_ids if not self._renew(request_id, self._now + ttl_ms)]

    def reap(self) -> int:
        """Post expired reservations at their checkpoints; return the number of reservations."""
        expired = [] if self._reaping_time is None else self._books.expired(min(self._now, self._reaping_time))
        for row in expired:
            row.state = "reaped"
            self._books.put("ledger_reap", row, (row.request_id,))
            for budget in self._books.budgets_of(row):
                _charge(budget, row.amount, row.reserved)
        return len(expired)

    def _renew(self, request_id: str, expires_ms: int) -> bool:
        """Extend a reservation, also one that was reaped if budgets have room; return whether nothing is lost."""
        row = self._books.entry(request_id)
        if row is None:
            return False
        if row.state == "reaped":
            budgets = self._books.budgets_of(row)
            if _without_room(budgets, row.reserved - row.amount) is not None:
                return False
            for budget in budgets:
                budget.spent = max(budget.spent - row.amount, 0)
                budget.reserved += row.reserved
                budget.is_changed = True
            row.state = "reserved"
        if row.state == "reserved":
            row.expires_ms = expires_ms
            self._books.put("ledger_renew", row, (request_id, expires_ms))
        return True

    def _refusal(self, account: Account, budget: BudgetRow) -> Refusal:
        """Return the refusal of a budget without room, which notes that it has refused."""
        first = not budget.refused and budget.told < THRESHOLDS[-1]
        if not budget.refused:
            budget.refused = 1
            budget.is_changed = True
        return Refusal(account, budget.spent, budget.reserved, first)


def _without_room(budgets: Iterable[BudgetRow], amount: int) -> BudgetRow | None:
    """Return the first budget that has no room for a reservation of `amount`."""
    for budget in budgets:
        if not budget.has_room(amount):
            return budget
    return None


def _post(budget: BudgetRow, charged: int, released: int) -> BudgetChange:
    """Charge a budget; return its change with the thresholds that it crosses."""
    _charge(budget, charged, released)
    told, reached = budget.told, budget.reached()
    crossed: tuple[int, ...] = ()
    if reached > told:
        budget.told = reached
        crossed = tuple([threshold for threshold in THRESHOLDS if told < threshold <= reached])
    return BudgetChange(budget.scope, budget.name, budget.period, budget.limit, budget.spent, crossed)


def _charge(budget: BudgetRow, charged: int, released: int) -> None:
    budget.spent = min(budget.spent + charged, MAX_INTEGER)
    budget.reserved -= released
    budget.is_changed = True


class LedgerStep(NamedTuple):
    """A call of the ledger, as one step of a transaction."""

    work: Callable[[LedgerTransaction], Any]
    """Does the step, and returns its answer. May be called again in another transaction, if this one fails."""
    request_ids: Sequence[str] = ()
    """Requests whose rows the step will ask for."""
    accounts: Sequence[Account] = ()
    """Accounts whose budgets the step will ask for."""


def take_steps(transaction: Transaction, steps: Sequence[LedgerStep], now: int, reaping_time: int | None) -> list[Any]:
    """Take all steps in one transaction, and return the answer to each."""
    books = Books(transaction)
    books.read([id for step in steps for id in step.request_ids], [account for step in steps for account in step.accounts])
    ledger = LedgerTransaction(books, now, reaping_time)
    answers = [step.work(ledger) for step in steps]
    books.write()
    return answers
