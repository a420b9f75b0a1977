"""The connections of this process to a SQLite database in a file or in memory: one that writes, one that looks up."""

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.ownership import PerProcess
from completions_mw.backends.sql.database import Rows
from completions_mw.backends.sql.sqlite.failures import store_errors
from completions_mw.backends.sql.sqlite.schema import Schema
from completions_mw.backends.sql.statements import statement_for_rows, statements
from completions_mw.backends.sql.values import ESCAPE_MARK, bound, restored, row_values
from completions_mw.core.ports import StoreBrokenError, StoreOverloadedError

T = TypeVar("T")
DIALECT: Final = "sqlite"
OPENING_TIMEOUT: Final = 10.0
"""Seconds for which opening a database waits for another process that makes the schema."""
TURN_SECONDS: Final = 10.0
"""Seconds for which a call waits for other calls of this process, which do not take longer than a time-out each."""
ROWS_AT_ONCE: Final = 32
"""Rows that one statement takes at most: it is prepared, and kept, for each number of rows that occurs."""
KEPT_STATEMENTS: Final = 256
"""Prepared statements that a connection keeps."""
_POLL_SECONDS: Final = 0.001
"""Seconds between two attempts to begin while another process writes; a transaction takes about as long."""


class Transaction:
    """A transaction that is under way.

    Args:
        connection: the connection on which the transaction was begun.
    """

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def fetch(self, name: str, /, **params: Any) -> Rows:
        """Run a statement by its name; return its rows."""
        return restored(self._connection.execute(statements(DIALECT)[name], bound(params)))

    def fetch_rows(self, name: str, rows: Sequence[Iterable[Any]], /) -> Rows:
        """Run a statement that takes rows of parameters, and whose one value is a JSON list of rows; return the rows."""
        found: Rows = []
        for part in _parts(rows):
            (text,) = self._run(name, part).fetchone()
            found += restored(json.loads(text)) if ESCAPE_MARK in text else json.loads(text)
        return found

    def change_rows(self, name: str, rows: Sequence[Iterable[Any]], /) -> None:
        """Run a statement that takes rows of parameters."""
        for part in _parts(rows):
            self._run(name, part)

    def change(self, name: str, /, **params: Any) -> int:
        """Run a statement by its name; return how many rows it changed."""
        return self._connection.execute(statements(DIALECT)[name], bound(params)).rowcount

    def _run(self, name: str, rows: Sequence[Iterable[Any]]) -> sqlite3.Cursor:
        return self._connection.execute(statement_for_rows(DIALECT, name, len(rows)), row_values(rows))


def _parts(rows: Sequence[Iterable[Any]]) -> Iterator[Sequence[Iterable[Any]]]:
    return (rows[at : at + ROWS_AT_ONCE] for at in range(0, len(rows), ROWS_AT_ONCE))


class SqliteFile(PerProcess):
    """Runs transactions, one at a time in this process.

    Methods raise `ConflictError` and the exceptions of `core.ports.failures`.

    Args:
        path: path of the file, which is created; None for a database in memory, which belongs to this process alone.
        timeout: seconds for which a transaction waits for other processes, from when it is its turn in this process.
    """

    def __init__(self, path: Path | None, timeout: float) -> None:
        self.path = path
        self.transactions = 0
        """Transactions that were committed in this process."""
        self._timeout = timeout
        self._identity: tuple[int, int] | None = None
        super().__init__()

    def reset(self) -> None:
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._reader = Reader()

    def transact(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in a transaction, during which no other transaction writes; an exception of `work` rolls it back."""
        with self._turn() as connection:
            deadline = SYSTEM_CLOCK.monotonic() + self._timeout
            _when_free(connection, "BEGIN IMMEDIATE", deadline)
            try:
                result = work(Transaction(connection))
                _when_free(connection, "COMMIT", deadline)
            except BaseException:
                # After some failures, such as a full disk, SQLite has rolled back already.
                with suppress(sqlite3.Error):
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                raise
            self.transactions += 1
            return result

    def look_up(self, name: str, params: Mapping[str, Any]) -> Rows:
        """Run one statement that reads little, beside writers, as SQLite can in WAL mode (https://sqlite.org/wal.html)."""
        if self.path is None:
            return self.transact(lambda transaction: transaction.fetch(name, **params))
        with self._reader.lock, store_errors():
            return Transaction(self._current_reader()).fetch(name, **params)

    def report(self, name: str, params: Mapping[str, Any], seconds: float) -> Rows:
        """Run one statement that may take long, beside writers and look-ups; it waits for the file for at most `seconds`."""
        if self.path is None:
            return self.look_up(name, params)
        with self._turn():
            reader = self._connect("ro", seconds)
        with closing(reader), store_errors():
            return Transaction(reader).fetch(name, **params)

    def close(self) -> None:
        """Close the connections; the next use opens others."""
        with self._lock:
            self._drop()
        with self._reader.lock:
            self._reader.drop()

    @contextmanager
    def _turn(self) -> Iterator[sqlite3.Connection]:
        """Wait for other calls of this process, and lend the connection."""
        if not self._lock.acquire(timeout=TURN_SECONDS):
            raise StoreOverloadedError("SQLite: other calls of this process take too long")
        try:
            with store_errors():
                if self._connection is not None and not self._is_same_file():
                    self._drop()
                if self._connection is None:
                    self._connection = self._open()
                yield self._connection
        except StoreBrokenError:
            self._drop()
            raise
        finally:
            self._lock.release()

    def _current_reader(self) -> sqlite3.Connection:
        reader = self._reader
        if reader.connection is not None and reader.identity == self._identity and self._is_same_file():
            return reader.connection
        reader.drop()
        with self._turn():
            # The file is there, is ours, and has its schema.
            reader.connection, reader.identity = self._connect("ro", self._timeout), self._identity
        return reader.connection

    def _is_same_file(self) -> bool:
        if self.path is None:
            return True
        try:
            return _identity(self.path) == self._identity
        except OSError:
            return False

    def _open(self) -> sqlite3.Connection:
        # A file that was there once is not made again: an empty ledger would be a budget of which nothing is spent.
        known = self._identity is not None
        if known and self.path is not None and not self.path.exists():
            raise StoreBrokenError("SQLite: the file is gone")
        connection = self._connect("rw" if known else "rwc", OPENING_TIMEOUT)
        try:
            schema = Schema(connection)
            schema.check() if known else schema.bring_up_to_date()
            self._identity = None if self.path is None else _identity(self.path)
            # From here on it is `_when_free` that waits for other processes.
            connection.execute("PRAGMA busy_timeout = 0")
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect(self, mode: str, seconds: float) -> sqlite3.Connection:
        name = ":memory:" if self.path is None else f"{self.path.absolute().as_uri()}?mode={mode}"
        connection = sqlite3.connect(
            name, uri=True, timeout=seconds, isolation_level=None, check_same_thread=False, cached_statements=KEPT_STATEMENTS
        )
        connection.execute("PRAGMA foreign_keys = ON")
        # Transactions survive `kill -9`; a power cut may take the last ones (https://sqlite.org/pragma.html#pragma_synchronous).
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    def _drop(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()


class Reader:
    """The connection of look-ups."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.connection: sqlite3.Connection | None = None
        self.identity: tuple[int, int] | None = None
        """The file to which the connection leads."""

    def drop(self) -> None:
        """Close the connection, if there is one."""
        if self.connection is not None:
            connection, self.connection = self.connection, None
            connection.close()


def _when_free(connection: sqlite3.Connection, sql: str, deadline: float) -> None:
    """Run `BEGIN IMMEDIATE` or `COMMIT`, for which other processes may have to be waited for until `deadline`.

    SQLite itself waits longer from time to time, up to 0.1 s, so that a process that has waited long would come last
    (https://sqlite.org/c3ref/busy_timeout.html, "sleeps for increasing amounts of time"). Here all processes have the same chance.
    """
    while True:
        try:
            connection.execute(sql)
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or SYSTEM_CLOCK.monotonic() >= deadline:
                raise
        time.sleep(_POLL_SECONDS)


def _identity(path: Path) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino
