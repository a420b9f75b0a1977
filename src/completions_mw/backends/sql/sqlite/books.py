"""What one transaction reads and changes of the ledger: each row is read once, and written once at the end.

A batch has many calls on few budgets. Each statement takes many rows and is one step for SQLite, because sqlite3 lets another thread run at
each step, and waits for that thread.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from completions_mw.backends.sql.sqlite.file import Transaction
from completions_mw.backends.sql.sqlite.rows import BudgetRow, EntryRow
from completions_mw.backends.sql.values import MAX_INTEGER
from completions_mw.core.ports import Account

_Key = tuple[str, str, str]
"""Scope, name and period of a budget."""


class Books:
    """The entries and budgets of one transaction.

    Args:
        transaction: the transaction under way.
    """

    __slots__ = ("_budgets", "_budgets_by_key", "_entries", "_transaction", "_unwritten", "_unwritten_ids")

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._entries: dict[str, EntryRow | None] = {}
        self._budgets: dict[int, BudgetRow] = {}
        self._budgets_by_key: dict[_Key, BudgetRow] = {}
        self._unwritten: dict[str, list[Sequence[Any]]] = {}
        """What is to be written of entries: the rows of each statement."""
        self._unwritten_ids: set[str] = set()
        """Requests of which something is to be written."""

    def read(self, request_ids: Iterable[str], accounts: Iterable[Account]) -> None:
        """Read what a batch will ask for, so that it need not be read one by one: entries with their budgets, and budgets of accounts."""
        ids = {id for id in request_ids if id not in self._entries}
        self._entries.update(dict.fromkeys(ids))
        entries = [EntryRow(*row) for row in self._transaction.fetch_rows("ledger_entries", [(id,) for id in ids])]
        self._entries.update((entry.request_id, entry) for entry in entries)
        self._read_budgets({account[:3] for account in accounts})
        budget_ids = {id for entry in entries for id in (entry.budget_id, entry.tenant_budget_id) if id not in self._budgets}
        self._keep("ledger_budgets_by_id", [(id,) for id in budget_ids if id is not None])

    def entry(self, request_id: str) -> EntryRow | None:
        """Return the row of a request, if there is one."""
        if request_id not in self._entries:
            self.read([request_id], [])
        return self._entries[request_id]

    def budget(self, account: Account) -> BudgetRow:
        """Return the budget of an account, which is opened if there is none, with the account's current limit."""
        key, limit = account[:3], min(account.limit, MAX_INTEGER)
        if key not in self._budgets_by_key:
            self._read_budgets({key})
        if key not in self._budgets_by_key:
            self._transaction.change("ledger_open", scope=account.scope, name=account.name, period=account.period, limit=limit)
            self._read_budgets({key})
        budget = self._budgets_by_key[key]
        if budget.limit != limit:
            # A threshold that is not reached under the new limit is reported once it is reached again.
            budget.limit, budget.refused = limit, 0
            budget.told = min(budget.told, budget.reached())
            budget.is_changed = True
        return budget

    def budgets_of(self, entry: EntryRow) -> list[BudgetRow]:
        """Return the budgets to which a request is charged, without those that were removed."""
        return [self._budgets[id] for id in (entry.budget_id, entry.tenant_budget_id) if id in self._budgets]

    def expired(self, now: int) -> list[EntryRow]:
        """Return the reservations that have expired at `now`, in milliseconds."""
        self.write()
        ids = [id for (id,) in self._transaction.fetch("ledger_expired", now=now)]
        self.read(ids, ())
        return [entry for id in ids if (entry := self._entries[id]) is not None]

    def put(self, statement: str, entry: EntryRow, row: Sequence[Any]) -> None:
        """Have a row of a request written by a statement that takes rows of parameters.

        Args:
            statement: name of the statement.
            entry: the row as it is then.
            row: the parameters, in the order of the statement.
        """
        id = entry.request_id
        if id in self._unwritten_ids:
            # What was written of this request before must come first.
            self.write()
        self._unwritten_ids.add(id)
        self._entries[id] = entry
        self._unwritten.setdefault(statement, []).append(row)

    def write(self) -> None:
        """Write everything that was changed."""
        for statement, rows in self._unwritten.items():
            self._transaction.change_rows(statement, rows)
        self._unwritten.clear()
        self._unwritten_ids.clear()
        changed = [budget for budget in self._budgets.values() if budget.is_changed]
        if changed:
            self._transaction.change_rows("ledger_budgets_change", [budget.values() for budget in changed])
        for budget in changed:
            budget.is_changed = False

    def _read_budgets(self, keys: Iterable[_Key]) -> None:
        self._keep("ledger_budgets_by_key", [key for key in keys if key not in self._budgets_by_key])

    def _keep(self, statement: str, wanted: Sequence[Sequence[Any]]) -> None:
        for row in self._transaction.fetch_rows(statement, wanted):
            budget = BudgetRow(*row)
            self._budgets[budget.id] = self._budgets_by_key[budget.scope, budget.name, budget.period] = budget
