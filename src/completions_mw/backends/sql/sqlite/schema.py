"""Makes the schema of a SQLite database, and brings it up to date."""

import sqlite3
import time
from collections.abc import Iterator
from typing import Final

from completions_mw.backends.sql.statements import migrations
from completions_mw.core.ports import StoreBrokenError

APPLICATION_ID: Final = 0x636D7721
"""The application ID of our files: the characters `cmw!` (https://sqlite.org/pragma.html#pragma_application_id)."""
_WAIT_SECONDS: Final = (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 0.0)
"""Seconds between the attempts to switch to WAL mode."""


class Schema:
    """The schema of one database.

    Args:
        connection: to the database, in autocommit mode.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._newest = migrations("sqlite")[-1].version

    def bring_up_to_date(self) -> None:
        """Run the migrations that are missing; several processes may do so at the same time.

        Raises:
            StoreBrokenError: the file is not ours, or newer than this library.
        """
        if self._version() != self._newest:
            self._connection.execute("BEGIN IMMEDIATE")
            version = self._version()
            if version or self._connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone():
                self._require_ours()
            for step in migrations("sqlite"):
                if step.version > version:
                    # One by one, since `executescript` would commit first.
                    for statement in _statements(step.sql):
                        self._connection.execute(statement)
                    self._connection.execute(f"PRAGMA user_version = {step.version:d}")
                    self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID:d}")
            self._connection.execute("COMMIT")
        self.check()
        self._write_ahead()

    def check(self) -> None:
        """Check that the schema is that of this library.

        Raises:
            StoreBrokenError: the file is not ours, or its schema is newer or older.
        """
        self._require_ours()
        if self._version() != self._newest:
            raise StoreBrokenError("SQLite: the schema is of an older version")

    def _require_ours(self) -> None:
        if self._pragma("application_id") != APPLICATION_ID:
            raise StoreBrokenError("SQLite: the file is not a database of completions_mw")
        if self._version() > self._newest:
            raise StoreBrokenError("SQLite: the schema is of a newer version of completions_mw")

    def _write_ahead(self) -> None:
        """Switch the file to WAL mode, in which readers and writers do not wait for each other; ignored by file systems without WAL."""
        for wait in _WAIT_SECONDS:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                # SQLite does not wait for this lock by itself while other processes open the file too.
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or wait == _WAIT_SECONDS[-1]:
                    raise
                time.sleep(wait)

    def _version(self) -> int:
        return self._pragma("user_version")

    def _pragma(self, name: str) -> int:
        value: int = self._connection.execute(f"PRAGMA {name}").fetchone()[0]
        return value


def _statements(sql: str) -> Iterator[str]:
    statement = ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
