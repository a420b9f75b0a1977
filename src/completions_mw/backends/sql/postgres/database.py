"""PostgreSQL for several hosts: the `Database` protocol."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from completions_mw.backends.batches import Batches, Execute
from completions_mw.backends.batches.asynchronous import AsyncBatches
from completions_mw.backends.batches.blocking import BlockingBatches
from completions_mw.backends.ownership import PerProcess
from completions_mw.backends.sql.database import DEFAULT_TIMES, A, C, CallTimes, Rows, Step
from completions_mw.backends.sql.postgres.connection import Connection, server_timeouts
from completions_mw.backends.sql.postgres.pool import AsyncPostgresPool, BlockingPostgresPool, PostgresPool, Purpose
from completions_mw.backends.sql.postgres.schema import bring_up_to_date, is_up_to_date
from completions_mw.backends.sql.statements import statements

DIALECT: Final = "postgres"
MIGRATION_TIMEOUT: Final = 300.0
"""Seconds that the migrations may take, with the wait for another process that runs them."""


class PostgresDatabase(PerProcess):
    """A PostgreSQL database: the `Database` protocol over connections of either kind.

    Args:
        pool: the connections; closed with the database.
        times: how long calls may take, and how many may wait.
        batches: what `batches` makes.
    """

    def __init__(self, pool: PostgresPool, times: CallTimes, batches: type[BlockingBatches[Any, Any] | AsyncBatches[Any, Any]]) -> None:
        self.pool = pool
        self._times = times
        self._batches = batches
        super().__init__()

    def reset(self) -> None:
        self.transactions = 0
        self._prepared = False

    async def fetch(self, statement: str, /, **params: Any) -> Rows:
        async with self._connection(self._times.call) as connection:
            rows = await connection.run(statements(DIALECT)[statement], params)
        self.transactions += 1
        return rows

    async def transaction(self, steps: Sequence[Step], /) -> list[Rows]:
        async with self._connection(self._times.call) as connection:
            await connection.run("BEGIN")
            rows = [await connection.run(statements(DIALECT)[step.statement], step.params) for step in steps]
            await connection.run("COMMIT")
        self.transactions += 1
        return rows

    async def look_up(self, statement: str, /, **params: Any) -> Rows:
        async with self._connection(self._times.call, "look-up") as connection:
            return await connection.run(statements(DIALECT)[statement], params)

    async def report(self, statement: str, /, **params: Any) -> Rows:
        async with self._connection(self._times.report, "report") as connection:
            await connection.run("BEGIN READ ONLY")
            for name, milliseconds in server_timeouts(self._times.report).items():
                await connection.run(f"SET LOCAL {name} = {milliseconds}")
            rows = await connection.run(statements(DIALECT)[statement], params)
            await connection.run("COMMIT")
            return rows

    def batches(self, execute: Execute[C, A], /, lanes: int = 1) -> Batches[C, A]:
        return self._batches(execute, self._times.waiting, lanes)

    async def aclose(self) -> None:
        await self.pool.aclose()

    @asynccontextmanager
    async def _connection(self, seconds: float, purpose: Purpose = "transaction") -> AsyncIterator[Connection]:
        """Lend a connection to a database whose schema is up to date."""
        if not self._prepared:
            await self._prepare()
        async with self.pool.connection(seconds, purpose) as connection:
            yield connection

    async def _prepare(self) -> None:
        async with self.pool.connection(self._times.call) as connection:
            self._prepared = await is_up_to_date(connection)
        if not self._prepared:
            async with self.pool.connection(MIGRATION_TIMEOUT) as connection:
                await bring_up_to_date(connection, MIGRATION_TIMEOUT)
            self._prepared = True


class BlockingPostgres(PostgresDatabase):
    """A PostgreSQL database for threads and greenlets.

    Args:
        address: `postgresql://…`.
        times: how long calls may take, and how many may wait.

    Raises:
        ConfigurationError: the address cannot be read.
    """

    def __init__(self, address: str, times: CallTimes = DEFAULT_TIMES) -> None:
        super().__init__(BlockingPostgresPool(address, times.call), times, BlockingBatches)


class AsyncPostgres(PostgresDatabase):
    """A PostgreSQL database for event loops.

    Args:
        address: `postgresql://…`.
        times: how long calls may take, and how many may wait.

    Raises:
        ConfigurationError: the address cannot be read.
    """

    def __init__(self, address: str, times: CallTimes = DEFAULT_TIMES) -> None:
        super().__init__(AsyncPostgresPool(address, times.call), times, AsyncBatches)
