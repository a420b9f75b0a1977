"""What an operator is told when the ledger's database fails: which one it is, and why; never a password.

Logs say less (`core.ports.failures`): more people read them, and an operator at a terminal has the address anyway.
"""

import re
from collections.abc import Iterator
from typing import Final

from completions_mw.core.ports import StoreError
from completions_mw.settings.secrets import sqlite_file

_PLACE: Final = {"host": "host", "port": "port", "dbname": "database"}
"""The names that libpq has for the parts of an address, and ours."""
_REASONS: Final = (
    "connection refused",
    "password authentication failed",
    "no password supplied",
    "does not exist",
    "no pg_hba.conf entry",
    "could not translate host name",
    "failed to resolve host",
    "no such file or directory",
    "no route to host",
    "network is unreachable",
    "too many clients already",
    "the database system is starting up",
    "the database system is shutting down",
    "server does not support ssl",
    "certificate verify failed",
    "server closed the connection unexpectedly",
)
"""Picked from the driver's text, which as a whole may hold anything."""
_is_unmistakable = re.compile(r"postgresql://([^@/?#]*@)?[^@]*").fullmatch
"""Where a password holds an `@` or a `/` that is not percent-encoded, libpq takes pieces of it for the host, port or database."""


def explained(error: StoreError, address: str) -> str:
    """Return the text of `error` with what caused it, and the place of the database at `address`."""
    file = sqlite_file(address)
    details = [*_causes(error.__cause__), *(_place(address) if file is None else [f"file {file}"])]
    return f"{error} ({'; '.join(details)})" if details else str(error)


def _causes(cause: BaseException | None) -> Iterator[str]:
    if isinstance(cause, OSError) and cause.strerror:
        yield cause.strerror
    elif state := getattr(cause, "sqlstate", None):
        yield f"SQLSTATE {state}"
    else:
        # A connection that fails has no SQLSTATE.
        text = str(cause).lower()
        yield from [reason for reason in _REASONS if reason in text][:1]


def _place(address: str) -> Iterator[str]:
    # It is there: it has opened the database.
    from psycopg.conninfo import conninfo_to_dict

    parts = conninfo_to_dict(address)
    if _is_unmistakable(address) and re.fullmatch(r"[\d,]*", str(parts.get("port") or "")):
        found = [f"{ours} {parts[theirs]}" for theirs, ours in _PLACE.items() if parts.get(theirs)]
        yield from [", ".join(found)] if found else []
