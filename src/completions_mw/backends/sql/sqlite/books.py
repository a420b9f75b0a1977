"""What one transaction reads and changes of the ledger: each row is read once, and written once at the end.

A batch has many calls on few budgets. Each statement takes all of its rows as one JSON list and is one step for SQLite, because sqlite3
lets another thread run at each step, and waits for that thread.
"""

from collections.abc import Iterable
from typing import Any

from completions_mw.backends.sql.database import Rows
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

    __slots__ = ("_budget_ids", "_budgets", "_changed", "_entries", "_transaction", "_written")

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._entries: dict[str, EntryRow | None] = {}
        self._budgets: dict[int, BudgetRow] = {}
        self._budget_ids: dict[_Key, int] = {}
        self._changed: set[int] = set()
        """Ids of budgets to be written."""
        self._written: dict[str, dict[str, Any]] = {}
        """What is to be written of entries: for each statement its rows, by request id."""

    def read(self, request_ids: Iterable[str], accounts: Iterable[Account]) -> None:
        """Read what a batch will ask for, so that it need not be read one by one."""
        ids = list(dict.fromkeys(request_ids))
        self._entries.update(dict.fromkeys(ids))
        for row in self._transaction.fetch_json("ledger_entries", request_ids=ids) if ids else ():
            self._entries[row[0]] = EntryRow(*row)
        keys = {account[:3] for account in accounts}
        known = {id for entry in self._entries.values() if entry is not None for id in entry.budget_ids}
        self._read_budgets(keys, known)

    def entry(self, request_id: str) -> EntryRow | None:
        """Return the row of a request, if there is one."""
        if request_id not in self._entries:
            self.read([request_id], [])
        return self._entries[request_id]

    def budget(self, account: Account) -> BudgetRow:
        """Return the budget of an account, which is opened if there is none, with the account's current limit."""
        key, limit = account[:3], min(account.limit, MAX_INTEGER)
        if key not in self._budget_ids:
            self._read_budgets({key}, ())
        if key not in self._budget_ids:
            self._transaction.change("ledger_open", scope=account.scope, name=account.name, period=account.period, limit=limit)
            self._read_budgets({key}, ())
        budget = self._budgets[self._budget_ids[key]]
        if budget.limit != limit:
            # A threshold that is not reached under the new limit is reported once it is reached again.
            budget.limit, budget.refused = limit, 0
            budget.told = min(budget.told, budget.reached())
            self.changed(budget)
        return budget

    def budgets_of(self, entry: EntryRow) -> list[BudgetRow]:
        """Return the budgets to which a request is charged, without those that were removed."""
        missing = [id for id in entry.budget_ids if id not in self._budgets]
        if missing:
            self._read_budgets((), missing)
        return [self._budgets[id] for id in entry.budget_ids if id in self._budgets]

    def expired(self, now: int) -> list[EntryRow]:
        """Return the reservations that have expired at `now`, in milliseconds."""
        self.write()
        found = []
        for (request_id,) in self._transaction.fetch("ledger_expired", now=now):
            if (entry := self.entry(request_id)) is not None:
                found.append(entry)
        return found

    def changed(self, budget: BudgetRow) -> None:
        """Have a budget written as it is at the end."""
        self._changed.add(budget.id)

    def put(self, statement: str, entry: EntryRow, row: Any) -> None:
        """Have a row of a request written by a statement that takes a list of rows.

        Args:
            statement: name of the statement.
            entry: the row as it is then.
            row: its columns, in the order of the statement.
        """
        self._entries[entry.request_id] = entry
        if any(entry.request_id in rows for rows in self._written.values()):
            # What was written of this request before must come first.
            self.write()
        self._written.setdefault(statement, {})[entry.request_id] = row

    def write(self) -> None:
        """Write everything that was changed."""
        written, self._written = self._written, {}
        for statement, rows in written.items():
            self._transaction.change_json(statement, rows=[*rows.values()])
        if self._changed:
            changed, self._changed = self._changed, set()
            self._transaction.change_json("ledger_budgets_change", rows=[self._budgets[id].values() for id in changed])

    def _read_budgets(self, keys: Iterable[_Key], ids: Iterable[int]) -> None:
        if wanted_keys := [key for key in keys if key not in self._budget_ids]:
            self._keep(self._transaction.fetch_json("ledger_budgets_by_key", keys=wanted_keys))
        if wanted_ids := [id for id in ids if id not in self._budgets]:
            self._keep(self._transaction.fetch_json("ledger_budgets_by_id", ids=wanted_ids))

    def _keep(self, rows: Rows) -> None:
        for row in rows:
            budget = BudgetRow(*row)
            self._budgets[budget.id] = budget
            self._budget_ids[budget.scope, budget.name, budget.period] = budget.id
