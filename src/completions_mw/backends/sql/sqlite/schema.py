"""The schema of a SQLite database: made where there is none, and brought up to date."""

import sqlite3
import time
from collections.abc import Iterator
from typing import Final

from completions_mw.backends.sql.statements import Migration, migrations
from completions_mw.core.ports import StoreBrokenError

APPLICATION_ID: Final = 0x636D7721
"""Tells our files from all others: `cmw!`."""
_WAITS: Final = (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 0.0)
"""Seconds between the attempts."""


def prepare(connection: sqlite3.Connection) -> None:
    """Bring the schema up to date; many may do so at the same time.

    Raises:
        StoreBrokenError: the file is not ours, or newer than this library.
    """
    steps = migrations("sqlite")
    if _version(connection) != steps[-1].version:
        connection.execute("BEGIN IMMEDIATE")
        version = _version(connection)
        _require(connection, steps[-1].version, empty=version == 0 and _is_empty(connection))
        for step in steps:
            if step.version > version:
                _apply(connection, step)
        connection.execute("COMMIT")
    check(connection)
    _write_ahead(connection)


def check(connection: sqlite3.Connection) -> None:
    """Look whether the schema is the one of this library.

    Raises:
        StoreBrokenError: it is not.
    """
    newest = migrations("sqlite")[-1].version
    _require(connection, newest)
    if _version(connection) != newest:
        raise StoreBrokenError("SQLite: the schema is of an older version")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Let readers and writers not wait for each other. The mode is kept in the file; a file system that cannot do it keeps its own."""
    for wait in _WAITS:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            # For this lock SQLite does not wait by itself while others open the file too.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or wait == _WAITS[-1]:
                raise
            time.sleep(wait)


def _require(connection: sqlite3.Connection, newest: int, *, empty: bool = False) -> None:
    if not empty and _pragma(connection, "application_id") != APPLICATION_ID:
        raise StoreBrokenError("SQLite: the file is not a database of completions_mw")
    if _version(connection) > newest:
        raise StoreBrokenError("SQLite: the schema is of a newer version of completions_mw")


def _apply(connection: sqlite3.Connection, step: Migration) -> None:
    # `executescript` would commit first.
    for statement in _statements(step.sql):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {step.version:d}")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID:d}")


def _statements(sql: str) -> Iterator[str]:
    statement = ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _version(connection: sqlite3.Connection) -> int:
    return _pragma(connection, "user_version")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value


def _is_empty(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone() is None
