"""PostgreSQL, for several hosts: connections that are opened when they are needed, and kept."""

from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final

import anyio
import psycopg
from anyio import to_thread
from anyio.lowlevel import RunVar
from psycopg import errors
from psycopg.pq import TransactionStatus

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.ownership import PerProcess
from completions_mw.backends.sql.database import REPORT_TIMEOUT, TIMEOUT, Rows, Step
from completions_mw.backends.sql.postgres.connection import AsyncConnection, BlockingConnection, Connection, connect, conninfo, is_usable
from completions_mw.backends.sql.postgres.failures import named_failures
from completions_mw.backends.sql.postgres.schema import bring_up_to_date, is_up_to_date
from completions_mw.backends.sql.statements import statements
from completions_mw.core.ports import StoreTimeoutError
from completions_mw.errors import ConfigurationError

DIALECT: Final = "postgres"
CONNECTIONS: Final = 8
"""At most, of a process; in async ones, of each event loop."""
REPORTS: Final = 2
"""Connections beside them, for what may take long."""
MIGRATION_TIMEOUT: Final = 30.0


class _Postgres(PerProcess):
    """What both kinds do, once they have a connection.

    Args:
        address: `postgresql://…`.

    Raises:
        ConfigurationError: the address cannot be read.
    """

    def __init__(self, address: str) -> None:
        try:
            self._conninfo = conninfo(address)
        except psycopg.Error:
            raise ConfigurationError("stores.ledger: is not an address that PostgreSQL's driver can read") from None
        super().__init__()

    def reset(self) -> None:
        self._idle: deque[Connection] = deque()
        self._prepared = False

    async def fetch(self, name: str, /, **params: Any) -> Rows:
        async with self._prepared_connection(TIMEOUT) as connection:
            return await connection.run(statements(DIALECT)[name], params)

    async def transaction(self, steps: Sequence[Step], /) -> list[Rows]:
        async with self._prepared_connection(TIMEOUT) as connection:
            await connection.run("BEGIN")
            rows = [await connection.run(statements(DIALECT)[step.statement], step.params) for step in steps]
            await connection.run("COMMIT")
            return rows

    async def report(self, name: str, /, **params: Any) -> Rows:
        async with self._prepared_connection(REPORT_TIMEOUT, is_report=True) as connection:
            await connection.run("BEGIN READ ONLY")
            await connection.run(f"SET LOCAL statement_timeout = {REPORT_TIMEOUT * 1000:.0f}")
            rows = await connection.run(statements(DIALECT)[name], params)
            await connection.run("COMMIT")
            return rows

    async def aclose(self) -> None:
        idle = [self._idle.pop() for _ in range(len(self._idle))]
        for connection in idle:
            connection.pgconn.finish()

    @asynccontextmanager
    async def _prepared_connection(self, seconds: float, *, is_report: bool = False) -> AsyncIterator[Connection]:
        if not self._prepared:
            await self._prepare()
        async with self._connection(seconds, is_report=is_report) as connection:
            yield connection

    async def _prepare(self) -> None:
        async with self._connection(TIMEOUT) as connection:
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

    def _usable(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if is_usable(connection):
                return connection
            connection.pgconn.finish()
        return None

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


class BlockingPostgres(_Postgres):
    """A PostgreSQL database for threads and greenlets."""

    def reset(self) -> None:
        super().reset()
        self._places, self._report_places = _places(CONNECTIONS), _places(REPORTS)

    @asynccontextmanager
    async def _turn(self, seconds: float, is_report: bool) -> AsyncIterator[None]:
        places = self._report_places if is_report else self._places
        try:
            places.get(timeout=seconds)
        except Empty:
            raise StoreTimeoutError("PostgreSQL: all connections are in use") from None
        try:
            yield
        finally:
            places.put(None)

    async def _connected(self, deadline: float) -> Connection:
        connection = BlockingConnection(connect(self._conninfo, deadline))
        connection.autocommit = True
        return connection


def _places(number: int) -> SimpleQueue[None]:
    # No semaphore, whose own lock never times out: the garbage collector may close a stream, and with it call us, at any point.
    places: SimpleQueue[None] = SimpleQueue()
    for _ in range(number):
        places.put(None)
    return places


class AsyncPostgres(_Postgres):
    """A PostgreSQL database for event loops, asyncio's or trio's."""

    def reset(self) -> None:
        super().reset()
        self._places: RunVar[anyio.Semaphore] = RunVar("completions_mw_postgres")
        self._report_places: RunVar[anyio.Semaphore] = RunVar("completions_mw_postgres_reports")

    @asynccontextmanager
    async def _turn(self, seconds: float, is_report: bool) -> AsyncIterator[None]:
        held, number = (self._report_places, REPORTS) if is_report else (self._places, CONNECTIONS)
        places = held.get(None)
        if places is None:
            places = anyio.Semaphore(number)
            held.set(places)
        with anyio.fail_after(seconds):
            async with places:
                yield

    async def _connected(self, deadline: float) -> Connection:
        # libpq looks up names without asking the event loop.
        pgconn = await to_thread.run_sync(partial(connect, self._conninfo, deadline), abandon_on_cancel=True)
        connection = AsyncConnection(pgconn)
        await connection.set_autocommit(True)
        return connection
