"""Time for stores: where exactness is the subject, a machine that has much to do must not look like a store that is down."""

from completions_mw.backends.sql import database
from completions_mw.backends.sql.sqlite import database as sqlite
from completions_mw.backends.sql.sqlite import file as sqlite_file

STORE_PATIENCE = 10.0
"""Seconds that a store may take."""


def wait_for_ledgers() -> None:
    """Let ledgers take their time in this process; to be called before PostgreSQL's driver is imported."""
    for module in (database, sqlite, sqlite_file):
        vars(module).update(TIMEOUT=STORE_PATIENCE)
