"""Connections to Redis for event loops."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from redis.asyncio.connection import Connection, SSLConnection

from completions_mw.backends.batches import Batches, Bounds
from completions_mw.backends.batches.asynchronous import AsyncBatches
from completions_mw.backends.ownership import PerLoop
from completions_mw.backends.redis.scripts import Argument
from completions_mw.backends.redis.session import (
    ACQUIRE_TIMEOUT,
    MAX_CONNECTIONS,
    Command,
    Pool,
    RedisSession,
    not_answered,
    options_of,
    without_client_info,
)
from completions_mw.backends.time_limit import TimeLimit
from completions_mw.core.ports import StoreOverloadedError, StoreRefusalError

_AsyncConnection = Connection | SSLConnection
_AsyncPool = Pool[_AsyncConnection]


class _Call(NamedTuple):
    """A call that waits to be sent."""

    command: Command
    timeouts: int
    """How many times Redis had not answered in time when the call began."""


class AsyncRedis(RedisSession[_AsyncConnection]):
    """Sends commands to Redis from event loops, each of which has its own connections. Calls that wait together are sent together.

    Args:
        address: as redis-py takes it, with its options.
        acquire_timeout: seconds for which a call waits for a free connection.
        setting: setting that has the address, for errors.

    Raises:
        ConfigurationError: redis-py does not understand the address or one of its options.
    """

    def __init__(self, address: str, acquire_timeout: float = ACQUIRE_TIMEOUT, setting: str = "stores.admission") -> None:
        self._pools: PerLoop[_AsyncPool] = PerLoop(Pool)
        super().__init__(address, acquire_timeout, setting)
        self._together: Batches[_Call, Any] = AsyncBatches(self._make, Bounds(seconds=self._acquire_timeout), MAX_CONNECTIONS)

    async def call(self, *command: Argument) -> Any:
        try:
            return await self._together(_Call(command, self._pools.get().timeouts), refusable=True)
        except StoreOverloadedError:
            raise StoreRefusalError("Redis was not asked, since too many calls wait for it") from None

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

    async def _make(self, calls: list[_Call]) -> Sequence[Any]:
        pool = self._pools.get()
        timeouts = pool.timeouts
        commands = [call.command for call in calls if call.timeouts == timeouts]
        answers = iter(await self._answers(pool, commands) if commands else ())
        return [next(answers) if call.timeouts == timeouts else not_answered() for call in calls]

    async def _timed(self, pool: _AsyncPool, commands: Sequence[Command], seconds: float) -> list[Any]:
        async with TimeLimit(seconds):
            return await self._exchange(pool, commands, 0)

    async def _send(self, connection: _AsyncConnection, commands: Sequence[Command], deadline: float) -> None:
        await connection.send_packed_command(connection.pack_commands(commands))

    async def _read(self, connection: _AsyncConnection) -> Any:
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
