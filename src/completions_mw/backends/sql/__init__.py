"""The databases of the ledger and of the keys: SQLite and PostgreSQL, blocking and async."""

from completions_mw.backends.sql.database import ConflictError, Database, Rows, Step
from completions_mw.backends.sql.opening import ledger_on, open_database

__all__ = ["ConflictError", "Database", "Rows", "Step", "ledger_on", "open_database"]
