"""PostgreSQL for several hosts: the `Database` protocol."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from completions_mw.backends.ownership import PerProcess
from completions_mw.backends.sql.database import REPORT_TIMEOUT, TIMEOUT, Rows, Step
from completions_mw.backends.sql.postgres.connection import Connection, server_timeouts
from completions_mw.backends.sql.postgres.pool import AsyncPostgresPool, BlockingPostgresPool, PostgresPool
from completions_mw.backends.sql.postgres.schema import bring_up_to_date, is_up_to_date
from completions_mw.backends.sql.statements import statements

DIALECT: Final = "postgres"
MIGRATION_TIMEOUT: Final = 300.0
"""Seconds that the migrations may take, with the wait for another process that runs them."""


class PostgresDatabase(PerProcess):
    """A PostgreSQL database: the `Database` protocol over connections of either kind.

    Args:
        pool: the connections; closed with the database.
        timeout: seconds that a call may take, waiting included.
        report_timeout: seconds that a report may take.
    """

    def __init__(self, pool: PostgresPool, timeout: float, report_timeout: float) -> None:
        self.pool = pool
        self._timeout = timeout
        self._report_timeout = report_timeout
        super().__init__()

    def reset(self) -> None:
        self._prepared = False

    async def fetch(self, statement: str, /, **params: Any) -> Rows:
        async with self._connection(self._timeout) as connection:
            return await connection.run(statements(DIALECT)[statement], params)

    async def transaction(self, steps: Sequence[Step], /) -> list[Rows]:
        async with self._connection(self._timeout) as connection:
            await connection.run("BEGIN")
            rows = [await connection.run(statements(DIALECT)[step.statement], step.params) for step in steps]
            await connection.run("COMMIT")
            return rows

    async def report(self, statement: str, /, **params: Any) -> Rows:
        async with self._connection(self._report_timeout, is_report=True) as connection:
            await connection.run("BEGIN READ ONLY")
            for name, milliseconds in server_timeouts(self._report_timeout).items():
                await connection.run(f"SET LOCAL {name} = {milliseconds}")
            rows = await connection.run(statements(DIALECT)[statement], params)
            await connection.run("COMMIT")
            return rows

    async def aclose(self) -> None:
        await self.pool.aclose()

    @asynccontextmanager
    async def _connection(self, seconds: float, *, is_report: bool = False) -> AsyncIterator[Connection]:
        """Lend a connection to a database whose schema is up to date."""
        if not self._prepared:
            await self._prepare()
        async with self.pool.connection(seconds, is_report=is_report) as connection:
            yield connection

    async def _prepare(self) -> None:
        async with self.pool.connection(self._timeout) as connection:
            self._prepared = await is_up_to_date(connection)
        if not self._prepared:
            async with self.pool.connection(MIGRATION_TIMEOUT) as connection:
                await bring_up_to_date(connection, MIGRATION_TIMEOUT)
            self._prepared = True


class BlockingPostgres(PostgresDatabase):
    """A PostgreSQL database for threads and greenlets.

    Args:
        address: `postgresql://…`.
        timeout: seconds that a call may take, waiting included.
        report_timeout: seconds that a report may take.

    Raises:
        ConfigurationError: the address cannot be read.
    """

    def __init__(self, address: str, timeout: float = TIMEOUT, report_timeout: float = REPORT_TIMEOUT) -> None:
        super().__init__(BlockingPostgresPool(address, timeout), timeout, report_timeout)


class AsyncPostgres(PostgresDatabase):
    """A PostgreSQL database for event loops.

    Args:
        address: `postgresql://…`.
        timeout: seconds that a call may take, waiting included.
        report_timeout: seconds that a report may take.

    Raises:
        ConfigurationError: the address cannot be read.
    """

    def __init__(self, address: str, timeout: float = TIMEOUT, report_timeout: float = REPORT_TIMEOUT) -> None:
        super().__init__(AsyncPostgresPool(address, timeout), timeout, report_timeout)
