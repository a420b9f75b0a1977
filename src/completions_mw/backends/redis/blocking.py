"""Connections to Redis for threads and greenlets."""

import socket
import ssl
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Any, Final

from redis.connection import Connection
from redis.exceptions import TimeoutError as RedisTimeoutError

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.ownership import PerProcess
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
from completions_mw.backends.time_limit import PARTS
from completions_mw.core.ports import StoreRefusalError

MIN_TIMEOUT: Final = 0.01
"""Seconds that a thread waits for an answer at least, also if other threads kept the command from being sent in time."""


class _WithDeadline:
    """A blocking connection of redis-py whose answers must all arrive before one deadline, including those while it connects."""

    deadline = 0.0
    """Time of `SYSTEM_CLOCK.monotonic`."""

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return max(MIN_TIMEOUT, self.deadline - SYSTEM_CLOCK.monotonic())

    def read_response(self, *args: Any, **options: Any) -> Any:
        # In parts, as `TimeLimit` does: while the whole machine stands still, no more than one part passes.
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


class QueueSemaphore:
    """A semaphore as a queue of tokens, which is C code: `threading.Semaphore` is Python code, and takes several times as long.

    Args:
        value: how many may be acquired at the same time.
    """

    __slots__ = ("_tokens",)

    def __init__(self, value: int) -> None:
        self._tokens: SimpleQueue[None] = SimpleQueue()
        for _ in range(value):
            self._tokens.put(None)

    def acquire(self, seconds: float) -> bool:
        """Take a token; return False if none becomes free within `seconds`."""
        try:
            self._tokens.get(timeout=seconds)
        except Empty:
            return False
        return True

    def release(self) -> None:
        self._tokens.put(None)


class _BlockingPool(Pool[_BlockingConnection]):
    def __init__(self) -> None:
        super().__init__()
        self.free = QueueSemaphore(MAX_CONNECTIONS)
        """Counts the connections that may still be used at the same time."""


class BlockingRedis(PerProcess, RedisSession[_BlockingConnection]):
    """Sends commands to Redis from threads and greenlets. Each process has its own connections.

    Args:
        address: as redis-py takes it, with its options.
        acquire_timeout: seconds for which a call waits for a free connection.
        setting: setting that has the address, for errors.

    Raises:
        ConfigurationError: redis-py does not understand the address or one of its options.
    """

    def __init__(self, address: str, acquire_timeout: float = ACQUIRE_TIMEOUT, setting: str = "stores.admission") -> None:
        RedisSession.__init__(self, address, acquire_timeout, setting)
        PerProcess.__init__(self)

    def reset(self) -> None:
        self._pool = _BlockingPool()

    async def call(self, *command: Argument) -> Any:
        pool = self._pool
        timeouts = pool.timeouts
        if not pool.free.acquire(self._acquire_timeout):
            raise StoreRefusalError("Redis was not asked, since no connection became free")
        try:
            if pool.timeouts != timeouts:
                raise not_answered()
            [answer] = await self._answers(pool, [command])
        finally:
            pool.free.release()
        if isinstance(answer, Exception):
            try:
                raise answer
            finally:
                # The exception holds this frame by its traceback: were it held by the frame, both would wait for the garbage collector.
                del answer
        return answer

    async def aclose(self) -> None:
        """Close the connections of this process."""
        pool = self._pool
        self.reset()
        pool.closed = True
        await self._drop_idle(pool)

    async def _timed(self, pool: Pool[_BlockingConnection], commands: Sequence[Command], seconds: float) -> list[Any]:
        return await self._exchange(pool, commands, SYSTEM_CLOCK.monotonic() + seconds)

    async def _send(self, connection: _BlockingConnection, commands: Sequence[Command], deadline: float) -> None:
        connection.deadline = deadline
        connection.send_packed_command(connection.pack_commands(commands))  # type: ignore[no-untyped-call]

    async def _read(self, connection: _BlockingConnection) -> Any:
        return connection.read_response()

    async def _drop(self, connection: _BlockingConnection) -> None:
        connection.disconnect()  # type: ignore[no-untyped-call]

    def _connection(self) -> _BlockingConnection:
        options = {name: value for name, value in self._options.items() if not name.startswith("ssl_")}
        connection = without_client_info(_BlockingConnection(**options_of(options, self._first_timeout)))  # type: ignore[no-untyped-call]
        if self._tls is not None:
            connection.tls = self._tls.get()
        return connection
