"""Explains failures of the ledger's database: which database it is and the cause, and never a password.

Logs say less (`core.ports.failures`): more people read them than the operator, who has the address of the database anyway.
"""

import re
from collections.abc import Iterator
from typing import Final

from completions_mw.core.ports import StoreError
from completions_mw.settings.secrets import sqlite_file

_ADDRESS_PARTS: Final = {"host": "host", "port": "port", "dbname": "database"}
"""Parts of an address: their names in libpq, and in the explanation."""
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
"""Phrases that may be quoted from the driver's text. The text as a whole may hold secrets."""
_is_unmistakable = re.compile(r"postgresql://([^@/?#]*@)?[^@]*").fullmatch
"""Matches addresses that libpq cannot misread: in others, an unescaped `@` or `/` makes parts of the password host, port or database."""


def explained(error: StoreError, address: str) -> str:
    """Return the text of `error` with its cause, and the file or the host, port and name of the database at `address`."""
    file = sqlite_file(address)
    details = [*_causes(error.__cause__), *(_database_parts(address) if file is None else [f"file {file}"])]
    return f"{error} ({'; '.join(details)})" if details else str(error)


def _causes(cause: BaseException | None) -> Iterator[str]:
    if isinstance(cause, OSError) and cause.strerror:
        yield cause.strerror
    elif state := getattr(cause, "sqlstate", None):
        yield f"SQLSTATE {state}"
    else:
        # Failed connections have no SQLSTATE.
        text = str(cause).lower()
        yield from [reason for reason in _REASONS if reason in text][:1]


def _database_parts(address: str) -> Iterator[str]:
    # Always installed here: the database was opened with it.
    from psycopg.conninfo import conninfo_to_dict

    parts = conninfo_to_dict(address)
    if _is_unmistakable(address) and re.fullmatch(r"[\d,]*", str(parts.get("port") or "")):
        found = [f"{label} {parts[name]}" for name, label in _ADDRESS_PARTS.items() if parts.get(name)]
        yield from [", ".join(found)] if found else []
