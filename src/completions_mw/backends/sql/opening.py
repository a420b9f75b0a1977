"""From an address in the settings to a database, and to the ledger in it."""

import sqlite3
from pathlib import Path
from typing import Final

from completions_mw.backends.sql.database import Database
from completions_mw.backends.sql.sqlite.database import AsyncSqlite, BlockingSqlite
from completions_mw.backends.sql.sqlite.ledger import SqliteLedger
from completions_mw.core.ports import Clock, Ledger
from completions_mw.errors import ConfigurationError

_PREFIX: Final = "sqlite:///"
OLDEST_SQLITE: Final = (3, 37, 0)
"""The first one with strict tables."""


def open_database(address: str, *, blocking: bool, clock: Clock) -> Database:
    """Return the database at `address`, as the setting `stores.ledger` has it; nothing is opened yet.

    Args:
        address: `memory://`, `sqlite:///` and a path, or `postgresql://…`.
        blocking: whether for threads and greenlets, or for event loops.
        clock: tells SQLite the time; PostgreSQL has its own.

    Raises:
        ConfigurationError: PostgreSQL's driver is not installed, or cannot read the address; or SQLite is too old.
    """
    if address.startswith("postgresql://"):
        return _postgres(address, blocking)
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise ConfigurationError(f"stores.ledger: SQLite {_version(OLDEST_SQLITE)} or newer is needed; Python has {sqlite3.sqlite_version}")
    path = Path(address.removeprefix(_PREFIX)) if address.startswith(_PREFIX) else None
    return BlockingSqlite(path, clock) if blocking else AsyncSqlite(path, clock)


def ledger_on(database: Database) -> Ledger:
    """Return the ledger in `database`."""
    if isinstance(database, BlockingSqlite | AsyncSqlite):
        return SqliteLedger(database)
    from completions_mw.backends.sql.postgres.ledger import PostgresLedger

    return PostgresLedger(database)


def _version(parts: tuple[int, ...]) -> str:
    return ".".join(map(str, parts))


def _postgres(address: str, blocking: bool) -> Database:
    try:
        from completions_mw.backends.sql.postgres.database import AsyncPostgres, BlockingPostgres
    except ImportError:
        raise ConfigurationError("stores.ledger: PostgreSQL needs psycopg: pip install 'completions-mw[postgres]'") from None
    return BlockingPostgres(address) if blocking else AsyncPostgres(address)
