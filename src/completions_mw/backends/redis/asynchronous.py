"""Connections to Redis for event loops."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from redis.asyncio.connection import Connection, SSLConnection

from completions_mw.backends.ownership import PerLoop
from completions_mw.backends.redis.scripts import Argument
from completions_mw.backends.redis.session import (
    ACQUIRE_TIMEOUT,
    MAX_CONNECTIONS,
    Pool,
    RedisSession,
    options_of,
    without_client_info,
)
from completions_mw.backends.time_limit import TimeLimit

_AsyncConnection = Connection | SSLConnection
_AsyncPool = Pool[_AsyncConnection, asyncio.Semaphore]


class AsyncRedis(RedisSession[_AsyncConnection, asyncio.Semaphore]):
    """Sends commands to Redis from event loops, each of which has its own connections.

    Args:
        address: as redis-py takes it, with its options.
        acquire_timeout: seconds for which a call waits for a free connection.
        setting: setting that has the address, for errors.

    Raises:
        ConfigurationError: redis-py does not understand the address or one of its options.
    """

    def __init__(self, address: str, acquire_timeout: float = ACQUIRE_TIMEOUT, setting: str = "stores.admission") -> None:
        self._pools: PerLoop[_AsyncPool] = PerLoop(lambda: Pool(asyncio.Semaphore(MAX_CONNECTIONS)))
        super().__init__(address, acquire_timeout, setting)

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        pool = self._pools.pop()
        if pool is None:
            return
        pool.closed = True
        while (connection := pool.pop()) is not None:
            # With TLS a disconnect is a round trip, and the event loop may end right after it.
            with suppress(TimeoutError):
                async with TimeLimit(self._timeout):
                    await connection.disconnect()

    def _pool(self) -> _AsyncPool:
        return self._pools.get()

    async def _acquire(self, free: asyncio.Semaphore, seconds: float) -> bool:
        try:
            async with TimeLimit(seconds):
                return await free.acquire()
        except TimeoutError:
            return False

    async def _timed(self, pool: _AsyncPool, command: Sequence[Argument], seconds: float) -> Any:
        async with TimeLimit(seconds):
            return await self._exchange(pool, command, 0)

    async def _talk(self, connection: _AsyncConnection, command: Sequence[Argument], deadline: float) -> Any:
        await connection.send_command(*command)
        return await connection.read_response()

    async def _drop(self, connection: _AsyncConnection) -> None:
        # `nowait` does not suspend, so no cancellation can keep the socket open.
        await connection.disconnect(nowait=True)

    def _connection(self) -> _AsyncConnection:
        # Without time-outs of redis-py, which cost a task each: `_timed` has one around the whole call.
        if self._tls is None:
            return without_client_info(Connection(**options_of(self._options, None)))
        connection = without_client_info(SSLConnection(**options_of(self._options, None)))
        connection.ssl_context = self._tls
        return connection
