"""Connections to PostgreSQL that are opened when they are needed, and kept for the next calls."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from typing import Final, Literal

import psycopg
from anyio import to_thread
from psycopg import errors
from psycopg.pq import TransactionStatus

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.ownership import PerLoop, PerProcess
from completions_mw.backends.sql.postgres.connection import AsyncConnection, BlockingConnection, Connection, connect, conninfo, is_usable
from completions_mw.backends.sql.postgres.failures import named_failures
from completions_mw.backends.time_limit import TimeLimit
from completions_mw.core.ports import StoreOverloadedError
from completions_mw.errors import ConfigurationError

MAX_CONNECTIONS: Final = 8
"""Connections for transactions, of a process, or of an event loop in an async gateway."""
MAX_LOOK_UP_CONNECTIONS: Final = 2
"""Connections besides, for look-ups, so that neither they nor transactions wait for each other."""
MAX_REPORT_CONNECTIONS: Final = 2
"""Connections besides, for calls that may take long."""
PERMIT_SECONDS: Final = 10.0
"""Seconds for which a call waits for a connection, before the time of the call begins."""

Purpose = Literal["transaction", "look-up", "report"]
"""What a connection is for."""
_MAXIMA: Final[Mapping[Purpose, int]] = {
    "transaction": MAX_CONNECTIONS,
    "look-up": MAX_LOOK_UP_CONNECTIONS,
    "report": MAX_REPORT_CONNECTIONS,
}


class PostgresPool(PerProcess):
    """The connections of a process or event loop; subclasses decide how a call waits for a free connection.

    Args:
        address: `postgresql://…`.
        timeout: seconds after which the server ends a call.
        permit_seconds: seconds for which a call waits for a connection, before the time of the call begins.

    Raises:
        ConfigurationError: the address cannot be read.
    """

    def __init__(self, address: str, timeout: float, permit_seconds: float = PERMIT_SECONDS) -> None:
        self.permit_seconds = permit_seconds
        try:
            self._conninfo = conninfo(address, timeout)
        except psycopg.Error:
            raise ConfigurationError("stores.ledger: is not an address that PostgreSQL's driver can read") from None
        super().__init__()

    def reset(self) -> None:
        self.idle: deque[Connection] = deque()

    @asynccontextmanager
    async def connection(self, seconds: float, purpose: Purpose = "transaction") -> AsyncIterator[Connection]:
        """Lend a connection for a call that may take `seconds`; psycopg's errors in the block become store errors.

        Raises:
            StoreOverloadedError: no connection became free.
            StoreTimeoutError: the server did not answer in time.
            StoreError: the server cannot be reached.
        """
        with named_failures():
            async with self._permit(purpose, seconds):
                deadline = SYSTEM_CLOCK.monotonic() + seconds
                connection = self._pop()
                while connection is not None and not is_usable(connection):
                    connection.pgconn.finish()
                    connection = self._pop()
                connection = connection or await self._connect(deadline)
                connection.deadline = deadline
                try:
                    yield connection
                except errors.ReadOnlySqlTransaction:
                    # The server became a replica: the next connection may find its successor.
                    connection.pgconn.finish()
                    raise
                finally:
                    self._give_back(connection)

    async def aclose(self) -> None:
        """Close the connections that are idle."""
        while (connection := self._pop()) is not None:
            connection.pgconn.finish()

    def _pop(self) -> Connection | None:
        # Another thread may have been quicker.
        with suppress(IndexError):
            return self.idle.pop()
        return None

    def _give_back(self, connection: Connection) -> None:
        # A connection with a statement still under way is closed: psycopg would wait for its end, without a limit.
        if connection.pgconn.transaction_status == TransactionStatus.IDLE:
            self.idle.append(connection)
        else:
            connection.pgconn.finish()

    def _permit(self, purpose: Purpose, seconds: float) -> AbstractAsyncContextManager[None]:
        """Wait for the permit to use one more connection, and hold the permit during the block, which may take `seconds`."""
        raise NotImplementedError

    async def _connect(self, deadline: float) -> Connection:
        raise NotImplementedError


class BlockingPostgresPool(PostgresPool):
    """Connections for threads and greenlets.

    Args:
        address: `postgresql://…`.
        timeout: seconds after which the server ends a call.
        permit_seconds: seconds for which a call waits for a connection, before the time of the call begins.

    Raises:
        ConfigurationError: the address cannot be read.
    """

    def reset(self) -> None:
        super().reset()
        self.permits = {purpose: threading.Semaphore(maximum) for purpose, maximum in _MAXIMA.items()}

    @asynccontextmanager
    async def _permit(self, purpose: Purpose, seconds: float) -> AsyncIterator[None]:
        permits = self.permits[purpose]
        if not permits.acquire(timeout=self.permit_seconds):
            raise _no_connection()
        try:
            yield
        finally:
            permits.release()

    async def _connect(self, deadline: float) -> Connection:
        connection = BlockingConnection(connect(self._conninfo, deadline))
        connection.autocommit = True
        return connection


class AsyncPostgresPool(PostgresPool):
    """Connections for event loops.

    Args:
        address: `postgresql://…`.
        timeout: seconds after which the server ends a call.
        permit_seconds: seconds for which a call waits for a connection, before the time of the call begins.

    Raises:
        ConfigurationError: the address cannot be read.
    """

    def reset(self) -> None:
        super().reset()
        self.permits = PerLoop(lambda: {purpose: asyncio.Semaphore(maximum) for purpose, maximum in _MAXIMA.items()})

    @asynccontextmanager
    async def _permit(self, purpose: Purpose, seconds: float) -> AsyncIterator[None]:
        permits = self.permits.get()[purpose]
        try:
            async with TimeLimit(self.permit_seconds):
                await permits.acquire()
        except TimeoutError:
            raise _no_connection() from None
        try:
            async with TimeLimit(seconds):
                yield
        finally:
            permits.release()

    async def _connect(self, deadline: float) -> Connection:
        # libpq looks up names without asking the event loop.
        pgconn = await to_thread.run_sync(partial(connect, self._conninfo, deadline), abandon_on_cancel=True)
        connection = AsyncConnection(pgconn)
        await connection.set_autocommit(True)
        return connection


def _no_connection() -> StoreOverloadedError:
    return StoreOverloadedError("PostgreSQL: all connections are in use")
