"""The `Database` protocol: what the ledger and the key store need of SQLite or PostgreSQL.

Statements are run by their names, such as `keys_find`, which `statements.py` finds in the SQL files of each dialect.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

TIMEOUT: Final = 0.5
"""Seconds that a call may take, waiting included, unless the setting `stores.ledger_timeout` says otherwise."""
REPORT_TIMEOUT: Final = 60.0
"""Seconds that a report may take."""

Rows = list[tuple[Any, ...]]


class Step(NamedTuple):
    """One statement of a transaction."""

    statement: str
    params: Mapping[str, Any]


class ConflictError(Exception):
    """A row with the same primary or unique key exists already; nothing was changed."""


class Database(Protocol):
    """Runs statements by their names. The database is opened, and its schema brought up to date, at the first call.

    Methods raise `StoreError` (`core.ports.failures`), and `ConflictError` where a primary or unique key is taken.
    """

    async def fetch(self, statement: str, /, **params: Any) -> Rows:
        """Run one statement in a transaction of its own; return its rows, an empty list for a statement without rows."""
        ...

    async def transaction(self, steps: Sequence[Step], /) -> list[Rows]:
        """Run statements in order, all of them or none; return the rows of each."""
        ...

    async def report(self, statement: str, /, **params: Any) -> Rows:
        """Run one statement that only reads and may take long, without making other calls wait."""
        ...

    async def aclose(self) -> None: ...
