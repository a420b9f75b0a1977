"""Connections to Redis for asyncio; redis-py knows no trio."""

import asyncio
from collections.abc import MutableMapping, Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from redis.asyncio.connection import Connection, SSLConnection

from completions_mw.backends.redis.admission import Argument
from completions_mw.backends.redis.session import MAX_CONNECTIONS, Pool, RedisSession, options_of, without_client_info
from completions_mw.backends.time_limit import TimeLimit

_AsyncConnection = Connection | SSLConnection
_Tasks = Pool[_AsyncConnection, asyncio.Semaphore]


class AsyncRedis(RedisSession[_AsyncConnection, asyncio.Semaphore]):
    """Each event loop has its own connections."""

    def __init__(self, address: str) -> None:
        self._pools: MutableMapping[asyncio.AbstractEventLoop, _Tasks] = WeakKeyDictionary()
        super().__init__(address)

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is None:
            return
        pool.closed = True
        while (connection := pool.pop()) is not None:
            # With TLS it takes a farewell from both sides, and the event loop may end next.
            with suppress(TimeoutError):
                async with TimeLimit(self._timeout):
                    await connection.disconnect()

    def _pool(self) -> _Tasks:
        loop = asyncio.get_running_loop()
        return self._pools.get(loop) or self._pools.setdefault(loop, Pool(asyncio.Semaphore(MAX_CONNECTIONS)))

    async def _enter(self, pool: _Tasks, seconds: float) -> bool:
        try:
            async with TimeLimit(seconds):
                return await pool.places.acquire()
        except TimeoutError:
            return False

    def _leave(self, pool: _Tasks) -> None:
        pool.places.release()

    async def _timed(self, pool: _Tasks, command: Sequence[Argument], seconds: float) -> Any:
        async with TimeLimit(seconds):
            return await self._exchange(pool, command, 0)

    async def _talk(self, connection: _AsyncConnection, command: Sequence[Argument], deadline: float) -> Any:
        await connection.send_command(*command)
        return await connection.read_response()

    async def _drop(self, connection: _AsyncConnection) -> None:
        # It does not suspend, so no cancellation can keep the socket open.
        await connection.disconnect(nowait=True)

    def _connection(self) -> _AsyncConnection:
        # The timeout around the whole call is the only one: redis-py's own ones cost a task each.
        if self._tls is None:
            return without_client_info(Connection(**options_of(self._options, None)))
        connection = without_client_info(SSLConnection(**options_of(self._options, None)))
        connection.ssl_context = self._tls
        return connection
