"""PostgreSQL, for several hosts: connections that are opened when they are needed, and kept."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from typing import Any, Final

import psycopg
from anyio import to_thread
from psycopg import errors
from psycopg.pq import TransactionStatus

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.ownership import PerLoop, PerProcess
from completions_mw.backends.sql.database import REPORT_TIMEOUT, TIMEOUT, Rows, Step
from completions_mw.backends.sql.postgres.connection import (
    AsyncConnection,
    BlockingConnection,
    Connection,
    connect,
    conninfo,
    is_usable,
    server_timeouts,
)
from completions_mw.backends.sql.postgres.failures import named_failures
from completions_mw.backends.sql.postgres.schema import bring_up_to_date, is_up_to_date
from completions_mw.backends.sql.statements import statements
from completions_mw.backends.time_limit import TimeLimit
from completions_mw.core.ports import StoreTimeoutError
from completions_mw.errors import ConfigurationError

DIALECT: Final = "postgres"
CONNECTIONS: Final = 8
"""At most, of a process; in async ones, of each event loop."""
REPORTS: Final = 2
"""Connections beside them, for what may take long."""
MIGRATION_TIMEOUT: Final = 30.0


class PostgresDatabase(PerProcess):
    """A PostgreSQL database: the `Database` protocol, but for how its calls wait.

    Args:
        address: `postgresql://…`.
        timeout: seconds that a call may take, with everything that it waits for.
        report_timeout: seconds that a report may take.

    Raises:
        ConfigurationError: the address cannot be read.
    """

    def __init__(self, address: str, timeout: float = TIMEOUT, report_timeout: float = REPORT_TIMEOUT) -> None:
        try:
            self._conninfo = conninfo(address, timeout)
        except psycopg.Error:
            raise ConfigurationError("stores.ledger: is not an address that PostgreSQL's driver can read") from None
        self._timeout = timeout
        self._report_timeout = report_timeout
        super().__init__()

    def reset(self) -> None:
        self._idle: deque[Connection] = deque()
        self._prepared = False

    async def fetch(self, statement: str, /, **params: Any) -> Rows:
        async with self._prepared_connection(self._timeout) as connection:
            return await connection.run(statements(DIALECT)[statement], params)

    async def transaction(self, steps: Sequence[Step], /) -> list[Rows]:
        async with self._prepared_connection(self._timeout) as connection:
            await connection.run("BEGIN")
            rows = [await connection.run(statements(DIALECT)[step.statement], step.params) for step in steps]
            await connection.run("COMMIT")
            return rows

    async def report(self, statement: str, /, **params: Any) -> Rows:
        async with self._prepared_connection(self._report_timeout, is_report=True) as connection:
            await connection.run("BEGIN READ ONLY")
            for name, milliseconds in server_timeouts(self._report_timeout).items():
                await connection.run(f"SET LOCAL {name} = {milliseconds}")
            rows = await connection.run(statements(DIALECT)[statement], params)
            await connection.run("COMMIT")
            return rows

    async def aclose(self) -> None:
        while (connection := self._pop()) is not None:
            connection.pgconn.finish()

    @asynccontextmanager
    async def _prepared_connection(self, seconds: float, *, is_report: bool = False) -> AsyncIterator[Connection]:
        if not self._prepared:
            await self._prepare()
        async with self._connection(seconds, is_report=is_report) as connection:
            yield connection

    async def _prepare(self) -> None:
        async with self._connection(self._timeout) as connection:
            self._prepared = await is_up_to_date(connection)
        if not self._prepared:
            async with self._connection(MIGRATION_TIMEOUT) as connection:
                await bring_up_to_date(connection, MIGRATION_TIMEOUT)
            self._prepared = True

    @asynccontextmanager
    async def _connection(self, seconds: float, *, is_report: bool = False) -> AsyncIterator[Connection]:
        deadline = SYSTEM_CLOCK.monotonic() + seconds
        with named_failures():
            async with self._turn(seconds, is_report):
                connection = self._usable() or await self._connected(deadline)
                connection.deadline = deadline
                try:
                    yield connection
                except errors.ReadOnlySqlTransaction:
                    # It became a replica: the next connection may find its successor.
                    connection.pgconn.finish()
                    raise
                finally:
                    self._give_back(connection)

    def _pop(self) -> Connection | None:
        # Another thread may have been quicker.
        with suppress(IndexError):
            return self._idle.pop()
        return None

    def _usable(self) -> Connection | None:
        while (connection := self._pop()) is not None and not is_usable(connection):
            connection.pgconn.finish()
        return connection

    def _give_back(self, connection: Connection) -> None:
        # Where something is still under way nobody knows when it ends, and psycopg would wait for it.
        if connection.pgconn.transaction_status == TransactionStatus.IDLE:
            self._idle.append(connection)
        else:
            connection.pgconn.finish()

    def _turn(self, seconds: float, is_report: bool) -> AbstractAsyncContextManager[None]:
        """Wait for one of the places, those of reports or the others, and leave it at the end."""
        raise NotImplementedError

    async def _connected(self, deadline: float) -> Connection:
        raise NotImplementedError


class BlockingPostgres(PostgresDatabase):
    """A PostgreSQL database for threads and greenlets.

    Args:
        address: `postgresql://…`.
        timeout: seconds that a call may take, with everything that it waits for.
        report_timeout: seconds that a report may take.
    """

    def reset(self) -> None:
        super().reset()
        self._places, self._report_places = threading.Semaphore(CONNECTIONS), threading.Semaphore(REPORTS)

    @asynccontextmanager
    async def _turn(self, seconds: float, is_report: bool) -> AsyncIterator[None]:
        places = self._report_places if is_report else self._places
        if not places.acquire(timeout=seconds):
            raise StoreTimeoutError("PostgreSQL: all connections are in use")
        try:
            yield
        finally:
            places.release()

    async def _connected(self, deadline: float) -> Connection:
        connection = BlockingConnection(connect(self._conninfo, deadline))
        connection.autocommit = True
        return connection


class AsyncPostgres(PostgresDatabase):
    """A PostgreSQL database for event loops.

    Args:
        address: `postgresql://…`.
        timeout: seconds that a call may take, with everything that it waits for.
        report_timeout: seconds that a report may take.
    """

    def reset(self) -> None:
        super().reset()
        self._places = PerLoop(lambda: asyncio.Semaphore(CONNECTIONS))
        self._report_places = PerLoop(lambda: asyncio.Semaphore(REPORTS))

    @asynccontextmanager
    async def _turn(self, seconds: float, is_report: bool) -> AsyncIterator[None]:
        places = (self._report_places if is_report else self._places).get()
        async with TimeLimit(seconds), places:
            yield

    async def _connected(self, deadline: float) -> Connection:
        # libpq looks up names without asking the event loop.
        pgconn = await to_thread.run_sync(partial(connect, self._conninfo, deadline), abandon_on_cancel=True)
        connection = AsyncConnection(pgconn)
        await connection.set_autocommit(True)
        return connection
