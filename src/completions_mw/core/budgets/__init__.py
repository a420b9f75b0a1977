"""Budgets: money is reserved before a request, and settled after it.

budgets.py           `Budgets`: the budgets of a request, reservations, and alerts
periods.py           calendar periods, in UTC
errors.py            the text of a budget's 429
escape.py            escapes of characters that a store may refuse
guarded_ledger.py    the ledger as requests use it: spools settlements while the ledger is down
spool.py             the queue of settlements that wait for the ledger
settlement_lines.py  settlements as lines of a file
replay.py            posts what waits once the ledger is back
"""

from completions_mw.core.budgets.budgets import BudgetAlert, Budgets

__all__ = ["BudgetAlert", "Budgets"]
