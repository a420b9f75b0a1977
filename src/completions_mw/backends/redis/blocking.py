"""Connections to Redis for threads and greenlets."""

import os
import socket
import ssl
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Any, Final

from redis.connection import Connection
from redis.exceptions import TimeoutError as RedisTimeoutError

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.redis.admission import Argument
from completions_mw.backends.redis.session import MAX_CONNECTIONS, Pool, RedisSession, options_of, without_client_info
from completions_mw.backends.time_limit import PARTS

MIN_TIMEOUT: Final = 0.01
"""Seconds for an answer to a thread that has used up its time before it came to ask: others may have kept it from that."""


class _WithDeadline:
    """A blocking connection of redis-py whose answers, those while it connects included, must all arrive before one deadline."""

    deadline = 0.0

    @property
    def left(self) -> float:
        """Seconds until then."""
        return max(MIN_TIMEOUT, self.deadline - SYSTEM_CLOCK.monotonic())

    def read_response(self, *args: Any, **options: Any) -> Any:
        # As in `TimeLimit`: a while in which the whole machine stands still costs one of them.
        part = self.left / PARTS
        if not any(self.can_read(timeout=part) for _ in range(PARTS)):  # type: ignore[attr-defined]
            self.disconnect()  # type: ignore[attr-defined]
            raise RedisTimeoutError
        return super().read_response(*args, **options)  # type: ignore[misc]


class _BlockingConnection(_WithDeadline, Connection):
    tls: ssl.SSLContext | None = None

    def _connect(self) -> socket.socket:
        self.socket_connect_timeout = self.left
        connected: socket.socket = super()._connect()  # type: ignore[no-untyped-call]
        if self.tls is None:
            return connected
        try:
            return self.tls.wrap_socket(connected, server_hostname=self.host)
        except BaseException:
            connected.close()
            raise


_Threads = Pool[_BlockingConnection, "SimpleQueue[None]"]


class BlockingRedis(RedisSession[_BlockingConnection, "SimpleQueue[None]"]):
    """For threads and greenlets. Each process has its own connections, so a fork shares none."""

    def __init__(self, address: str) -> None:
        self._pools: dict[int, _Threads] = {}
        super().__init__(address)

    async def aclose(self) -> None:
        """Close the connections of this process."""
        pool = self._pools.pop(os.getpid(), None)
        if pool is not None:
            pool.closed = True
            await self._drop_idle(pool)

    def _pool(self) -> _Threads:
        return self._pools.get(os.getpid()) or self._first_pool()

    def _first_pool(self) -> _Threads:
        # Neither it nor the list has a lock, for the garbage collector may close a stream, and with it call us, at any point.
        places: SimpleQueue[None] = SimpleQueue()
        for _ in range(MAX_CONNECTIONS):
            places.put(None)
        pool = self._pools.setdefault(os.getpid(), Pool(places))
        for parent in set(self._pools) - {os.getpid()}:
            self._pools.pop(parent, None)
        return pool

    async def _enter(self, pool: _Threads, seconds: float) -> bool:
        try:
            pool.places.get(timeout=seconds)
        except Empty:
            return False
        return True

    def _leave(self, pool: _Threads) -> None:
        pool.places.put(None)

    async def _timed(self, pool: _Threads, command: Sequence[Argument], seconds: float) -> Any:
        return await self._exchange(pool, command, SYSTEM_CLOCK.monotonic() + seconds)

    async def _talk(self, connection: _BlockingConnection, command: Sequence[Argument], deadline: float) -> Any:
        connection.deadline = deadline
        connection.send_command(*command)  # type: ignore[no-untyped-call]
        return connection.read_response()

    async def _drop(self, connection: _BlockingConnection) -> None:
        connection.disconnect()  # type: ignore[no-untyped-call]

    def _connection(self) -> _BlockingConnection:
        options = {name: value for name, value in self._options.items() if not name.startswith("ssl_")}
        connection = without_client_info(_BlockingConnection(**options_of(options, self._first_timeout)))  # type: ignore[no-untyped-call]
        if self._tls is not None:
            connection.tls = self._tls.get()
        return connection
