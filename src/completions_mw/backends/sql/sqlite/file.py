"""One SQLite database, file or memory, and this process's connection to it."""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.ownership import PerProcess
from completions_mw.backends.sql.database import ConflictError, Rows
from completions_mw.backends.sql.sqlite.schema import Schema
from completions_mw.backends.sql.statements import statements
from completions_mw.backends.sql.values import bound, restored
from completions_mw.core.ports import StoreBrokenError, StoreError, StoreRefusalError, StoreTimeoutError

T = TypeVar("T")
DIALECT: Final = "sqlite"
OPENING_TIMEOUT: Final = 10.0
"""Seconds that the opening waits for another process that makes the schema."""
_KINDS: Final = {
    StoreTimeoutError: {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED},
    StoreBrokenError: {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB},
    StoreRefusalError: {sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG},
}
_TAKEN: Final = {sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE}


class Transaction:
    """A transaction that is under way."""

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
    """Runs transactions, one at a time in this process. Deadlines are of `SYSTEM_CLOCK.monotonic`.

    Args:
        path: of the file, which is created; None for a database in memory, of this process alone.
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
        """Run `work` in a transaction that nobody else writes beside; what it raises undoes it."""
        with self._turn(deadline) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(Transaction(connection))
                connection.execute("COMMIT")
            except BaseException:
                _roll_back(connection)
                raise
            return result

    def report(self, name: str, params: Mapping[str, Any], deadline: float) -> Rows:
        """Read beside everything else, as SQLite can in WAL mode."""
        if self.path is None:
            return self.fetch(name, params, deadline)
        with self._turn(deadline):
            reader = self._connect("ro", deadline - SYSTEM_CLOCK.monotonic())
        with _named_failures(), closing(reader):
            return Transaction(reader).fetch(name, **params)

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        with self._lock:
            self._drop()

    @contextmanager
    def _turn(self, deadline: float) -> Iterator[sqlite3.Connection]:
        # Behind a database that is locked, those who wait must not do so for each of those before.
        seconds = deadline - SYSTEM_CLOCK.monotonic()
        if seconds <= 0 or not self._lock.acquire(timeout=seconds):
            raise StoreTimeoutError("SQLite: the database is busy")
        try:
            with _named_failures():
                connection = self._current()
                self._limit_waiting(connection, deadline)
                yield connection
        except StoreBrokenError:
            self._drop()
            raise
        finally:
            self._lock.release()

    def _current(self) -> sqlite3.Connection:
        if self._connection is not None and not self._is_same_file():
            self._drop()
        if self._connection is None:
            self._connection, self._busy_timeout = self._open(), None
        return self._connection

    def _limit_waiting(self, connection: sqlite3.Connection, deadline: float) -> None:
        # In tenths of a second, so that it seldom changes.
        milliseconds = max(round((deadline - SYSTEM_CLOCK.monotonic()) * 10), 0) * 100
        if milliseconds != self._busy_timeout:
            connection.execute(f"PRAGMA busy_timeout = {milliseconds}")
            self._busy_timeout = milliseconds

    def _is_same_file(self) -> bool:
        if self.path is None:
            return True
        try:
            return _identity(self.path) == self._identity
        except OSError:
            return False

    def _open(self) -> sqlite3.Connection:
        # What was there once is not made again: an empty ledger would be a budget that nobody has spent.
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
        # Survives `kill -9`; a power cut may take the last transactions (https://sqlite.org/pragma.html#pragma_synchronous).
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    def _drop(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()


def _identity(path: Path) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _roll_back(connection: sqlite3.Connection) -> None:
    # After some failures, such as a full disk, SQLite has done so already.
    with suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")


@contextmanager
def _named_failures() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _failure(error) from error
    except OSError as error:
        raise StoreError(f"SQLite: {type(error).__name__}") from error


def _failure(error: sqlite3.Error) -> Exception:
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    if code in _TAKEN:
        return ConflictError()
    kind = next((kind for kind, codes in _KINDS.items() if code & 0xFF in codes), StoreError)
    return kind(f"SQLite: {getattr(error, 'sqlite_errorname', type(error).__name__)}")
