"""Turns exceptions of psycopg into store errors, without their texts, which name hosts, users and values."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg import errors

from completions_mw.backends.sql.database import ConflictError, LockedError
from completions_mw.core.ports import StoreBrokenError, StoreError, StoreRefusalError, StoreTimeoutError
from completions_mw.frames import clear_locals

_CAUSES: Final = {
    LockedError: (errors.LockNotAvailable, errors.DeadlockDetected),
    StoreTimeoutError: (errors.QueryCanceled,),
    StoreBrokenError: (errors.UndefinedTable, errors.UndefinedFunction, errors.UndefinedColumn, errors.InvalidSchemaName),
    StoreRefusalError: (psycopg.DataError, psycopg.IntegrityError),
}


@contextmanager
def named_failures() -> Iterator[None]:
    """Raise `ConflictError`, `StoreError` or a subclass instead of exceptions of psycopg and of the system."""
    try:
        yield
    except (psycopg.Error, OSError) as error:
        # The frames of the connection hold the password.
        clear_locals(error)
        raise _failure(error) from error


def _failure(error: psycopg.Error | OSError) -> Exception:
    if isinstance(error, TimeoutError):
        return StoreTimeoutError("PostgreSQL: no answer in time")
    if isinstance(error, errors.UniqueViolation):
        return ConflictError()
    kind = next((kind for kind, causes in _CAUSES.items() if isinstance(error, causes)), StoreError)
    return kind(f"PostgreSQL: {type(error).__name__}")
