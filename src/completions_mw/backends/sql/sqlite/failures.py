"""Turns exceptions of sqlite3 and of the system into store errors."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from completions_mw.backends.sql.database import ConflictError
from completions_mw.core.ports import StoreBrokenError, StoreError, StoreRefusalError, StoreTimeoutError

_CODES: Final = {
    StoreTimeoutError: {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED},
    StoreBrokenError: {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB},
    StoreRefusalError: {sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG},
}
"""Result codes of SQLite by what they are to the core (https://sqlite.org/rescode.html)."""
_CONFLICT_CODES: Final = {sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE}


@contextmanager
def store_errors() -> Iterator[None]:
    """Raise `ConflictError`, `StoreError` or a subclass instead of exceptions of sqlite3 and of the system."""
    try:
        yield
    except (sqlite3.Error, OSError, OverflowError) as error:
        raise _failure(error) from error


def _failure(error: Exception) -> Exception:
    """Return the error without the text of `error`, which may hold values."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if isinstance(error, OverflowError):
        # An integer of more than 64 bits.
        return StoreRefusalError("SQLite: OverflowError")
    if code is None:
        return StoreError(f"SQLite: {type(error).__name__}")
    if code in _CONFLICT_CODES:
        return ConflictError()
    kind = next((kind for kind, codes in _CODES.items() if code & 0xFF in codes), StoreError)
    return kind(f"SQLite: {getattr(error, 'sqlite_errorname', type(error).__name__)}")
