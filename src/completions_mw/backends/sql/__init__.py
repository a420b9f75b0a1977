"""The databases of the ledger and of the keys: SQLite and PostgreSQL, blocking and async.

opening.py      `open_database`: opens the database at an address; `ledger_on`: the ledger in a database
database.py     the `Database` protocol
key_store.py    `SqlKeyStore`: the `KeyStore` port
ledger_rows.py  parameters and rows of the ledger
reaping_time.py the time by which reservations expire, though the wall clock may jump
values.py       converts parameters and rows to what both databases can store, and back
statements.py   reads the SQL files of a dialect
sqlite/         SQLite, and its SQL: schema.sql, keys.sql, ledger.sql, migrations/
postgres/       PostgreSQL, and its SQL, with functions.sql besides
"""

from completions_mw.backends.sql.database import CallTimes, ConflictError, Database, Rows, Step
from completions_mw.backends.sql.opening import call_times, ledger_on, open_database

__all__ = ["CallTimes", "ConflictError", "Database", "Rows", "Step", "call_times", "ledger_on", "open_database"]
