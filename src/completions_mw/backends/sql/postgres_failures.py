"""What psycopg's errors are to the core. Their own texts stay out: they name hosts, users and values."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg import errors

from completions_mw.backends.sql.database import ConflictError
from completions_mw.core.ports import StoreBrokenError, StoreError, StoreTimeoutError

_TIMEOUT: Final = (errors.QueryCanceled, errors.LockNotAvailable)
_BROKEN: Final = (errors.UndefinedTable, errors.UndefinedFunction, errors.UndefinedColumn, errors.InvalidSchemaName)


@contextmanager
def named_failures() -> Iterator[None]:
    """Raise `StoreError` and its kinds instead of psycopg's errors and those of the system."""
    try:
        yield
    except psycopg.Error as error:
        raise _failure(error) from error
    except TimeoutError as error:
        raise StoreTimeoutError("PostgreSQL: no answer in time") from error
    except OSError as error:
        raise StoreError(f"PostgreSQL: {type(error).__name__}") from error


def _failure(error: psycopg.Error) -> Exception:
    if isinstance(error, errors.UniqueViolation):
        return ConflictError()
    kind = StoreTimeoutError if isinstance(error, _TIMEOUT) else StoreBrokenError if isinstance(error, _BROKEN) else StoreError
    return kind(f"PostgreSQL: {type(error).__name__}")
