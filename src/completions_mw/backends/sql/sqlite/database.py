"""SQLite for one host: the `Database` protocol over a file that all processes share, or in the memory of one process."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.runners import Runner, WorkerThreads, run_inline
from completions_mw.backends.sql.database import REPORT_TIMEOUT, TIMEOUT, Rows, Step
from completions_mw.backends.sql.sqlite.file import SqliteFile, Transaction
from completions_mw.core.ports import Clock

T = TypeVar("T")
MAX_REPORTS: Final = 4
"""Reports that run at the same time on one event loop."""


class SqliteDatabase:
    """A SQLite database: the `Database` protocol over a runner, which decides where calls run.

    Args:
        path: path of the file; None for a database in memory.
        clock: the time of the ledger.
        timeout: seconds that a call may take, waiting included.
        report_timeout: seconds for which a report waits for the connection; reading may take longer.
        runner: runs calls.
        report_runner: runs reports.
    """

    def __init__(
        self, path: Path | None, clock: Clock, timeout: float, report_timeout: float, runner: Runner, report_runner: Runner
    ) -> None:
        self.clock = clock
        self.volatile = path is None
        """Whether the database is in memory, and ends with the process."""
        self._file = SqliteFile(path)
        self._timeout = timeout
        self._report_timeout = report_timeout
        self._runner = runner
        self._report_runner = report_runner

    async def fetch(self, statement: str, /, **params: Any) -> Rows:
        return await self._runner(self._file.fetch, statement, params, SYSTEM_CLOCK.monotonic() + self._timeout)

    async def transaction(self, steps: Sequence[Step], /) -> list[Rows]:
        return await self.transact(lambda transaction: [transaction.fetch(step.statement, **step.params) for step in steps])

    async def transact(self, work: Callable[[Transaction], T], /) -> T:
        """Run `work` in one transaction, during which no other transaction writes, and return its result."""
        return await self._runner(self._file.transact, work, SYSTEM_CLOCK.monotonic() + self._timeout)

    async def report(self, statement: str, /, **params: Any) -> Rows:
        deadline = SYSTEM_CLOCK.monotonic() + self._report_timeout
        return await self._report_runner(self._file.report, statement, params, deadline)

    async def aclose(self) -> None:
        await self._runner(self._file.close)


class BlockingSqlite(SqliteDatabase):
    """A SQLite database for threads and greenlets.

    Args:
        path: path of the file; None for a database in memory.
        clock: the time of the ledger.
        timeout: seconds that a call may take, waiting included.
        report_timeout: seconds for which a report waits for the connection; reading may take longer.
    """

    def __init__(self, path: Path | None, clock: Clock, timeout: float = TIMEOUT, report_timeout: float = REPORT_TIMEOUT) -> None:
        super().__init__(path, clock, timeout, report_timeout, run_inline, run_inline)


class AsyncSqlite(SqliteDatabase):
    """A SQLite database for event loops. A call that has begun is completed, even if its caller is cancelled meanwhile.

    Args:
        path: path of the file; None for a database in memory.
        clock: the time of the ledger.
        timeout: seconds that a call may take, waiting included.
        report_timeout: seconds for which a report waits for the connection; reading may take longer.
    """

    def __init__(self, path: Path | None, clock: Clock, timeout: float = TIMEOUT, report_timeout: float = REPORT_TIMEOUT) -> None:
        # SQLite writes one transaction at a time: more threads would only wait.
        super().__init__(path, clock, timeout, report_timeout, WorkerThreads(1), WorkerThreads(MAX_REPORTS))
