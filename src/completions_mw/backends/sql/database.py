"""The `Database` protocol: what the ledger and the key store need of SQLite or PostgreSQL.

Statements are run by their names, such as `keys_find`, which `statements.py` finds in the SQL files of each dialect.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from completions_mw.backends.batches import Batches, Bounds, Execute
from completions_mw.core.ports import StoreTimeoutError

C = TypeVar("C")
"""The type of calls that are made in batches."""
A = TypeVar("A")
"""The type of their answers."""

Rows = list[tuple[Any, ...]]


class CallTimes(NamedTuple):
    """How long calls may take, and how many may wait."""

    call: float = 0.5
    """Seconds that a call may take, from when it is sent to the database; the setting `stores.ledger_timeout`."""
    report: float = 60.0
    """Seconds that a report may take."""
    waiting: Bounds = Bounds()
    """How many calls may wait in this process and how long; the settings `stores.ledger_queue`, `ledger_wait` and `ledger_share`."""


DEFAULT_TIMES: Final = CallTimes()


class Step(NamedTuple):
    """One statement of a transaction."""

    statement: str
    params: Mapping[str, Any]


class ConflictError(Exception):
    """A row with the same primary or unique key exists already; nothing was changed."""


class LockedError(StoreTimeoutError):
    """Somebody else has locked a row for too long; nothing was changed."""


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

    async def look_up(self, statement: str, /, **params: Any) -> Rows:
        """Run one statement that only reads a little, on a connection of its own: neither it nor a transaction waits for the other."""
        ...

    async def report(self, statement: str, /, **params: Any) -> Rows:
        """Run one statement that only reads and may take long, without making other calls wait."""
        ...

    def batches(self, execute: Execute[C, A], /, lanes: int = 1) -> Batches[C, A]:
        """Return what makes calls in batches by `execute`, at most `lanes` of them at the same time."""
        ...

    @property
    def transactions(self) -> int:
        """Number of transactions that this process has committed."""
        ...

    async def aclose(self) -> None: ...
