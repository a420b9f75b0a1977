"""SQLite for one host: the `Database` protocol over a file that all processes share, or in the memory of one process."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from completions_mw.backends.batches import Batches, Execute
from completions_mw.backends.batches.asynchronous import AsyncBatches
from completions_mw.backends.batches.blocking import BlockingBatches
from completions_mw.backends.one_thread import OneThread
from completions_mw.backends.runners import Runner, WorkerThreads, run_inline
from completions_mw.backends.sql.database import DEFAULT_TIMES, A, C, CallTimes, Rows, Step
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
        times: how long calls may take, and how many may wait.
        batches: what `batches` makes.
        runner: runs transactions.
        look_up_runner: runs look-ups.
        report_runner: runs reports.
    """

    def __init__(
        self,
        path: Path | None,
        clock: Clock,
        times: CallTimes,
        batches: type[BlockingBatches[Any, Any] | AsyncBatches[Any, Any]],
        runner: Runner,
        look_up_runner: Runner,
        report_runner: Runner,
    ) -> None:
        self.clock = clock
        self.volatile = path is None
        """Whether the database is in memory, and ends with the process."""
        self._file = SqliteFile(path, times.call)
        self._report_seconds = times.report
        self._bounds = times.waiting
        self._batches = batches
        self._runner = runner
        self._look_up_runner = look_up_runner
        self._report_runner = report_runner

    @property
    def transactions(self) -> int:
        return self._file.transactions

    async def fetch(self, statement: str, /, **params: Any) -> Rows:
        return await self.transact(lambda transaction: transaction.fetch(statement, **params))

    async def transaction(self, steps: Sequence[Step], /) -> list[Rows]:
        return await self.transact(lambda transaction: [transaction.fetch(step.statement, **step.params) for step in steps])

    async def transact(self, work: Callable[[Transaction], T], /) -> T:
        """Run `work` in one transaction, during which no other transaction writes, and return its result."""
        return await self._runner(self._file.transact, work)

    async def look_up(self, statement: str, /, **params: Any) -> Rows:
        return await self._look_up_runner(self._file.look_up, statement, params)

    async def report(self, statement: str, /, **params: Any) -> Rows:
        return await self._report_runner(self._file.report, statement, params, self._report_seconds)

    def batches(self, execute: Execute[C, A], /, lanes: int = 1) -> Batches[C, A]:
        return self._batches(execute, self._bounds, lanes)

    async def aclose(self) -> None:
        await self._runner(self._file.close)


class BlockingSqlite(SqliteDatabase):
    """A SQLite database for threads and greenlets.

    Args:
        path: path of the file; None for a database in memory.
        clock: the time of the ledger.
        times: how long calls may take.
    """

    def __init__(self, path: Path | None, clock: Clock, times: CallTimes = DEFAULT_TIMES) -> None:
        super().__init__(path, clock, times, BlockingBatches, run_inline, run_inline, run_inline)


class AsyncSqlite(SqliteDatabase):
    """A SQLite database for event loops. A call that has begun is completed, even if its caller is cancelled meanwhile.

    Args:
        path: path of the file; None for a database in memory.
        clock: the time of the ledger.
        times: how long calls may take.
    """

    def __init__(self, path: Path | None, clock: Clock, times: CallTimes = DEFAULT_TIMES) -> None:
        # SQLite writes one transaction at a time: more threads would only wait.
        writer = OneThread("completions_mw-sqlite")
        super().__init__(path, clock, times, AsyncBatches, writer, WorkerThreads(1), WorkerThreads(MAX_REPORTS))
