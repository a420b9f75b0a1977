"""From an address in the settings to a database, and to the ledger in it."""

import sqlite3
from pathlib import Path
from typing import Final

from completions_mw.backends.sql.database import REPORT_TIMEOUT, TIMEOUT, Database
from completions_mw.backends.sql.ledger_rows import BATCH
from completions_mw.backends.sql.sqlite.database import AsyncSqlite, BlockingSqlite, SqliteDatabase
from completions_mw.backends.sql.sqlite.ledger import SqliteLedger
from completions_mw.core.ports import Clock, Ledger
from completions_mw.errors import ConfigurationError

_PREFIX: Final = "sqlite:///"
OLDEST_SQLITE: Final = (3, 37, 0)
"""The first version with strict tables."""


def open_database(
    address: str, *, blocking: bool, clock: Clock, timeout: float = TIMEOUT, report_timeout: float = REPORT_TIMEOUT
) -> Database:
    """Return the database at `address`, as the setting `stores.ledger` has it; nothing is opened yet.

    Args:
        address: `memory://`, `sqlite:///` and a path, or `postgresql://…`.
        blocking: whether for threads and greenlets, or for event loops.
        clock: tells SQLite the time; PostgreSQL has its own.
        timeout: seconds that a call may take, with everything that it waits for.
        report_timeout: seconds that a report may take.

    Raises:
        ConfigurationError: PostgreSQL's driver is not installed, or cannot read the address; or SQLite is too old.
    """
    if address.startswith("postgresql://"):
        try:
            from completions_mw.backends.sql.postgres.database import AsyncPostgres, BlockingPostgres
        except ImportError:
            raise ConfigurationError("stores.ledger: PostgreSQL needs psycopg: pip install 'completions-mw[postgres]'") from None
        return (BlockingPostgres if blocking else AsyncPostgres)(address, timeout, report_timeout)
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE))
        raise ConfigurationError(f"stores.ledger: SQLite {oldest} or newer is needed; Python has {sqlite3.sqlite_version}")
    path = Path(address.removeprefix(_PREFIX)) if address.startswith(_PREFIX) else None
    return (BlockingSqlite if blocking else AsyncSqlite)(path, clock, timeout, report_timeout)


def ledger_on(database: Database, batch: int = BATCH) -> Ledger:
    """Return the ledger in `database`; it removes or reaps at most `batch` rows at a time."""
    if isinstance(database, SqliteDatabase):
        return SqliteLedger(database, batch)
    from completions_mw.backends.sql.postgres.ledger import PostgresLedger

    return PostgresLedger(database, batch)
