"""Money: reserved before a request, settled after it.

budgets.py         `Budgets`: which budgets a request is charged to, and whether it fits
periods.py         calendar periods, in UTC
errors.py          the text of a budget's 429
escape.py          text as every store can keep it
guarded_ledger.py  the ledger, and what happens while it is down
spool.py           settlements that wait for the ledger
"""

from completions_mw.core.budgets.budgets import BudgetAlert, Budgets

__all__ = [
    "BudgetAlert",
    "Budgets",
]
