"""Opens the database at an address of the settings, and the ledger in a database."""

import sqlite3
from pathlib import Path
from typing import Final

from completions_mw.backends.batches import Bounds
from completions_mw.backends.sql.database import DEFAULT_TIMES, CallTimes, Database
from completions_mw.backends.sql.ledger_rows import BATCH_SIZE
from completions_mw.backends.sql.sqlite.database import AsyncSqlite, BlockingSqlite, SqliteDatabase
from completions_mw.backends.sql.sqlite.ledger import SqliteLedger
from completions_mw.core.ports import Clock, Ledger
from completions_mw.errors import ConfigurationError
from completions_mw.settings import StoreSettings

_SQLITE_PREFIX: Final = "sqlite:///"
MIN_SQLITE_VERSION: Final = (3, 37, 0)
"""The first version of SQLite with strict tables (https://sqlite.org/stricttables.html)."""


def call_times(settings: StoreSettings) -> CallTimes:
    """Return how long calls may take, and how many may wait, by the settings."""
    return CallTimes(call=settings.ledger_timeout, waiting=Bounds(settings.ledger_queue, settings.ledger_wait, settings.ledger_share))


def open_database(address: str, *, blocking: bool, clock: Clock, times: CallTimes = DEFAULT_TIMES) -> Database:
    """Return the database at `address`. Nothing is opened before the database is used.

    Args:
        address: `memory://`, `sqlite:///` and a path, or `postgresql://…`, as in `stores.ledger` of the settings.
        blocking: whether the database is for threads and greenlets, or for event loops.
        clock: the time of a SQLite database; PostgreSQL uses its server's clock.
        times: how long calls may take, and how many may wait.

    Raises:
        ConfigurationError: psycopg is not installed or cannot read the address, or SQLite is too old.
    """
    if address.startswith("postgresql://"):
        try:
            from completions_mw.backends.sql.postgres.database import AsyncPostgres, BlockingPostgres
        except ImportError:
            raise ConfigurationError("stores.ledger: PostgreSQL needs psycopg: pip install 'completions-mw[postgres]'") from None
        return (BlockingPostgres if blocking else AsyncPostgres)(address, times)
    if sqlite3.sqlite_version_info < MIN_SQLITE_VERSION:
        oldest = ".".join(map(str, MIN_SQLITE_VERSION))
        raise ConfigurationError(f"stores.ledger: SQLite {oldest} or newer is needed; Python has {sqlite3.sqlite_version}")
    path = Path(address.removeprefix(_SQLITE_PREFIX)) if address.startswith(_SQLITE_PREFIX) else None
    return (BlockingSqlite if blocking else AsyncSqlite)(path, clock, times)


def ledger_on(database: Database, batch: int = BATCH_SIZE, hold: float = 0.0) -> Ledger:
    """Return the ledger in `database`.

    Args:
        database: where the ledger is.
        batch: rows that one transaction removes or reaps at most.
        hold: seconds after which the wall clock, of this machine or of the PostgreSQL server, is believed when reservations are reaped.
    """
    if isinstance(database, SqliteDatabase):
        return SqliteLedger(database, batch, hold=hold)
    from completions_mw.backends.sql.postgres.ledger import PostgresLedger

    return PostgresLedger(database, batch, hold)
