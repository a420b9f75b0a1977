"""The connection of this process to a SQLite database in a file or in memory."""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.ownership import PerProcess
from completions_mw.backends.sql.database import Rows
from completions_mw.backends.sql.sqlite.failures import FAILURES, store_error
from completions_mw.backends.sql.sqlite.schema import Schema
from completions_mw.backends.sql.statements import statements
from completions_mw.backends.sql.values import bound, restored
from completions_mw.core.ports import StoreBrokenError, StoreTimeoutError

T = TypeVar("T")
DIALECT: Final = "sqlite"
OPENING_TIMEOUT: Final = 10.0
"""Seconds for which opening a database waits for another process that makes the schema."""


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

    def change(self, name: str, /, **params: Any) -> int:
        """Run a statement by its name; return how many rows it changed."""
        return self._connection.execute(statements(DIALECT)[name], bound(params)).rowcount


class SqliteFile(PerProcess):
    """Runs transactions, one at a time in this process. Deadlines are times of `SYSTEM_CLOCK.monotonic`.

    Methods raise `ConflictError` and the exceptions of `core.ports.failures`.

    Args:
        path: path of the file, which is created; None for a database in memory, which belongs to this process alone.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._identity: tuple[int, int] | None = None
        super().__init__()

    def reset(self) -> None:
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._busy_timeout: int | None = None
        """Milliseconds that the connection waits for other processes."""

    def fetch(self, name: str, params: Mapping[str, Any], deadline: float) -> Rows:
        """Run one statement in a transaction of its own."""
        with self._turn(deadline) as connection:
            return Transaction(connection).fetch(name, **params)

    def transact(self, work: Callable[[Transaction], T], deadline: float) -> T:
        """Run `work` in a transaction, during which no other transaction writes; an exception of `work` rolls it back."""
        with self._turn(deadline) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(Transaction(connection))
                connection.execute("COMMIT")
            except BaseException:
                # After some failures, such as a full disk, SQLite has rolled back already.
                with suppress(sqlite3.Error):
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                raise
            return result

    def report(self, name: str, params: Mapping[str, Any], deadline: float) -> Rows:
        """Run one statement on a connection of its own, beside writers, as SQLite can in WAL mode (https://sqlite.org/wal.html)."""
        if self.path is None:
            return self.fetch(name, params, deadline)
        with self._turn(deadline):
            reader = self._connect("ro", deadline - SYSTEM_CLOCK.monotonic())
        with closing(reader):
            try:
                return Transaction(reader).fetch(name, **params)
            except FAILURES as error:
                raise store_error(error) from error

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        with self._lock:
            self._drop()

    @contextmanager
    def _turn(self, deadline: float) -> Iterator[sqlite3.Connection]:
        # Calls that queue behind a locked database must not wait for each of the calls before them.
        seconds = deadline - SYSTEM_CLOCK.monotonic()
        if seconds <= 0 or not self._lock.acquire(timeout=seconds):
            raise StoreTimeoutError("SQLite: the database is busy")
        try:
            yield self._current(deadline)
        except FAILURES as error:
            failure = store_error(error)
            if isinstance(failure, StoreBrokenError):
                self._drop()
            raise failure from error
        finally:
            self._lock.release()

    def _current(self, deadline: float) -> sqlite3.Connection:
        """Return the connection, which waits for other processes until `deadline`."""
        if self._connection is not None and not self._is_same_file():
            self._drop()
        if self._connection is None:
            self._connection, self._busy_timeout = self._open(), None
        # In tenths of a second, so that it seldom changes.
        milliseconds = max(round((deadline - SYSTEM_CLOCK.monotonic()) * 10), 0) * 100
        if milliseconds != self._busy_timeout:
            self._connection.execute(f"PRAGMA busy_timeout = {milliseconds}")
            self._busy_timeout = milliseconds
        return self._connection

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
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect(self, mode: str, seconds: float) -> sqlite3.Connection:
        name = ":memory:" if self.path is None else f"{self.path.absolute().as_uri()}?mode={mode}"
        connection = sqlite3.connect(name, uri=True, timeout=seconds, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA foreign_keys = ON")
        # Transactions survive `kill -9`; a power cut may take the last ones (https://sqlite.org/pragma.html#pragma_synchronous).
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    def _drop(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()


def _identity(path: Path) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino
