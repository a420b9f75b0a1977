"""SQLite for one host: a file that all its processes share, or the memory of one process."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio
from anyio import to_thread
from anyio.lowlevel import RunVar

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.sql.database import TIMEOUT, Rows, Step
from completions_mw.backends.sql.sqlite.file import Session, SqliteFile
from completions_mw.core.ports import Clock, StoreTimeoutError

T = TypeVar("T")
_THREAD: Final[RunVar[anyio.CapacityLimiter]] = RunVar("completions_mw_sqlite")
"""One thread for each event loop: SQLite writes one transaction at a time, more threads would only wait."""


class BlockingSqlite:
    """A SQLite database for threads and greenlets.

    Args:
        path: of the file; None for a database in memory.
        clock: tells the time.
    """

    def __init__(self, path: Path | None, clock: Clock) -> None:
        self.clock = clock
        self.volatile = path is None
        self._file = SqliteFile(path)

    async def fetch(self, statement: str, /, **params: Any) -> Rows:
        return self._file.fetch(statement, params)

    async def transaction(self, steps: Sequence[Step], /) -> list[Rows]:
        return self._file.transact(partial(_in_order, steps))

    async def transact(self, work: Callable[[Session], T], /) -> T:
        """Run `work` in one transaction; nobody else writes beside it."""
        return self._file.transact(work)

    async def report(self, statement: str, /, **params: Any) -> Rows:
        return self._file.report(statement, params)

    async def aclose(self) -> None:
        self._file.close()


class AsyncSqlite:
    """A SQLite database for event loops: a thread works for it. What is begun is done, also for those who were cancelled meanwhile.

    Args:
        path: of the file; None for a database in memory.
        clock: tells the time.
    """

    def __init__(self, path: Path | None, clock: Clock) -> None:
        self.clock = clock
        self.volatile = path is None
        self._file = SqliteFile(path)

    async def fetch(self, statement: str, /, **params: Any) -> Rows:
        return await _in_thread(partial(self._file.fetch, statement, params))

    async def transaction(self, steps: Sequence[Step], /) -> list[Rows]:
        return await _in_thread(partial(self._file.transact, partial(_in_order, steps)))

    async def transact(self, work: Callable[[Session], T], /) -> T:
        """Run `work` in one transaction; nobody else writes beside it."""
        return await _in_thread(partial(self._file.transact, work))

    async def report(self, statement: str, /, **params: Any) -> Rows:
        return await to_thread.run_sync(self._file.report, statement, params)

    async def aclose(self) -> None:
        await _in_thread(self._file.close)


def _in_order(steps: Sequence[Step], session: Session) -> list[Rows]:
    return [session.fetch(step.statement, **step.params) for step in steps]


async def _in_thread(work: Callable[[], T]) -> T:
    limiter = _THREAD.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(1)
        _THREAD.set(limiter)
    return await to_thread.run_sync(_in_time, work, SYSTEM_CLOCK.monotonic() + TIMEOUT, limiter=limiter)


def _in_time(work: Callable[[], T], deadline: float) -> T:
    # Behind a database that is locked, a queue must not wait for each of those before.
    if SYSTEM_CLOCK.monotonic() > deadline:
        raise StoreTimeoutError("SQLite: the database is busy")
    return work()
