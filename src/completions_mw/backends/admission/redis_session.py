"""Connections to Redis: a small pool over redis-py's connections, blocking and async.

redis-py's own pools and clients keep no deadline for a whole call, retry what must not be retried, and cost more than a command does.
"""

import asyncio
import os
import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import MutableMapping, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Final, Generic, TypeVar
from weakref import WeakKeyDictionary

from redis.asyncio import connection as async_redis
from redis.connection import Connection, parse_url
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from completions_mw.backends.admission.redis import Argument
from completions_mw.backends.admission.redis_failures import FAILURES, store_error, wordless
from completions_mw.backends.admission.time_limit import PARTS, TimeLimit
from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.core.ports import StoreRefusalError, StoreTimeoutError
from completions_mw.errors import ConfigurationError

TIMEOUT: Final = 0.05
"""Seconds for a whole call, connecting included (DESIGN section 8), unless the address has a `socket_timeout`."""
FIRST_TIMEOUT: Final = 0.5
"""The same until Redis has answered once: names are looked up then, and TLS is agreed. A time in the address holds from the start."""
PATIENCE: Final = 1.0
"""Seconds for which a call waits for its turn, before the time that it has with Redis begins."""
_MOST: Final = 32
"""Connections of a process or event loop: a call is so short that the others can wait their turn."""
_LEAST: Final = 0.01
"""Seconds for an answer to a thread that has used up its time before it came to ask: others may have kept it from that."""
_OURS: Final = ("connection_class", "max_connections", "timeout", "retry_on_error", "retry_on_timeout", "health_check_interval")

C = TypeVar("C")
"""A connection."""
P = TypeVar("P")
"""What limits how many there are."""


class _Pool(Generic[C, P]):
    """The connections of a process or event loop."""

    __slots__ = ("closed", "idle", "places", "reached", "timeouts")

    def __init__(self, places: P) -> None:
        self.places = places
        self.idle: list[C] = []
        self.closed = False
        self.reached = False
        """Whether Redis has ever answered here."""
        self.timeouts = 0
        """Calls that it has not answered."""

    def pop(self) -> C | None:
        # Another thread may have been quicker.
        with suppress(IndexError):
            return self.idle.pop()
        return None


class _Session(ABC, Generic[C, P]):
    """What both kinds share. A connection goes back only after a whole answer, so no call can read the answer of another one.

    Args:
        address: as redis-py takes it, with its options.
    """

    def __init__(self, address: str) -> None:
        try:
            options = dict(parse_url(address))  # type: ignore[no-untyped-call]
            given = options.get("socket_timeout")
            self._timeout: float = given or TIMEOUT
            self._first_timeout: float = given or FIRST_TIMEOUT
            self._options: dict[str, Any] = {name: value for name, value in options.items() if name not in _OURS}
            # Made once, and outside of any deadline: to load the system's certificates takes as long as a call may take.
            self._tls = _tls(self._options) if address.startswith("rediss:") else None
            self._connection()
        except (TypeError, ValueError, OSError, RedisError):
            # Their texts quote the address.
            raise ConfigurationError("stores.admission: Redis does not understand the address, or one of its options") from None

    async def call(self, *command: Argument) -> Any:
        """Send one command and return its answer: texts as bytes.

        Raises:
            NoScriptError: Redis does not know a script.
            StoreTimeoutError: there is no answer in time.
            StoreRefusalError: it was not sent, for want of a connection; or it is about this command alone.
            StoreError: any other failure.
        """
        pool = self._pool()
        timeouts = pool.timeouts
        await self._enter(pool)
        try:
            if pool.timeouts != timeouts:
                # Else all who wait would wait for a timeout each, one after the other.
                raise StoreRefusalError("Redis was not asked, since it did not answer others in time")
            return await self._timed(pool, command, self._timeout if pool.reached else self._first_timeout)
        except NoScriptError:
            raise
        except FAILURES as error:
            failure = store_error(error)
            pool.timeouts += isinstance(failure, StoreTimeoutError)
            raise failure from wordless(error)
        finally:
            self._leave(pool)

    @abstractmethod
    async def aclose(self) -> None: ...
    @abstractmethod
    def _pool(self) -> _Pool[C, P]: ...
    @abstractmethod
    async def _enter(self, pool: _Pool[C, P]) -> None: ...
    @abstractmethod
    def _leave(self, pool: _Pool[C, P]) -> None: ...
    @abstractmethod
    async def _timed(self, pool: _Pool[C, P], command: Sequence[Argument], seconds: float) -> Any: ...
    @abstractmethod
    async def _talk(self, connection: C, command: Sequence[Argument], deadline: float) -> Any: ...
    @abstractmethod
    async def _drop(self, connection: C) -> None: ...
    @abstractmethod
    def _connection(self) -> C: ...

    async def _exchange(self, pool: _Pool[C, P], command: Sequence[Argument], deadline: float) -> Any:
        idle = pool.pop()
        if idle is not None:
            try:
                return await self._ask(pool, idle, command, deadline)
            except RedisConnectionError:
                # Redis closed it while it was idle, and most likely the others as well. Whatever we ask may be asked twice.
                await self._drop_idle(pool)
        return await self._ask(pool, self._connection(), command, deadline)

    async def _ask(self, pool: _Pool[C, P], connection: C, command: Sequence[Argument], deadline: float) -> Any:
        whole = False
        try:
            answer = await self._talk(connection, command, deadline)
            whole = pool.reached = True
            return answer
        except ResponseError as error:
            # One that became a replica stays one: the next connection may find its successor. Older versions name a script first.
            whole = "READONLY" not in str(error) and not isinstance(error, ReadOnlyError)
            if not whole:
                await self._drop_idle(pool)
            raise
        finally:
            if whole and not pool.closed:
                pool.idle.append(connection)
            else:
                await self._drop(connection)

    async def _drop_idle(self, pool: _Pool[C, P]) -> None:
        while (connection := pool.pop()) is not None:
            await self._drop(connection)


class _WithDeadline:
    """A blocking connection of redis-py whose answers, those while it connects included, must all arrive before one deadline."""

    deadline = 0.0

    @property
    def left(self) -> float:
        """Seconds until then."""
        return max(_LEAST, self.deadline - SYSTEM_CLOCK.monotonic())

    def read_response(self, *args: Any, **options: Any) -> Any:
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


class BlockingRedis(_Session[_BlockingConnection, "SimpleQueue[None]"]):
    """For threads and greenlets. Each process has its own connections, so a fork shares none."""

    def __init__(self, address: str) -> None:
        self._pools: dict[int, _Pool[_BlockingConnection, SimpleQueue[None]]] = {}
        super().__init__(address)

    async def aclose(self) -> None:
        """Close the connections of this process."""
        pool = self._pools.pop(os.getpid(), None)
        if pool is not None:
            pool.closed = True
            await self._drop_idle(pool)

    def _pool(self) -> _Pool[_BlockingConnection, SimpleQueue[None]]:
        return self._pools.get(os.getpid()) or self._first_pool()

    def _first_pool(self) -> _Pool[_BlockingConnection, SimpleQueue[None]]:
        # Neither it nor the list has a lock, for the garbage collector may close a stream, and with it call us, at any point.
        places: SimpleQueue[None] = SimpleQueue()
        for _ in range(_MOST):
            places.put(None)
        pool = self._pools.setdefault(os.getpid(), _Pool(places))
        for parent in set(self._pools) - {os.getpid()}:
            self._pools.pop(parent, None)
        return pool

    async def _enter(self, pool: _Pool[_BlockingConnection, SimpleQueue[None]]) -> None:
        try:
            pool.places.get(timeout=PATIENCE)
        except Empty:
            raise _busy() from None

    def _leave(self, pool: _Pool[_BlockingConnection, SimpleQueue[None]]) -> None:
        pool.places.put(None)

    async def _timed(self, pool: _Pool[_BlockingConnection, SimpleQueue[None]], command: Sequence[Argument], seconds: float) -> Any:
        return await self._exchange(pool, command, SYSTEM_CLOCK.monotonic() + seconds)

    async def _talk(self, connection: _BlockingConnection, command: Sequence[Argument], deadline: float) -> Any:
        connection.deadline = deadline
        connection.send_command(*command)  # type: ignore[no-untyped-call]
        return connection.read_response()

    async def _drop(self, connection: _BlockingConnection) -> None:
        connection.disconnect()  # type: ignore[no-untyped-call]

    def _connection(self) -> _BlockingConnection:
        options = {name: value for name, value in self._options.items() if not name.startswith("ssl_")}
        connection = _nameless(_BlockingConnection(**_options(options, self._first_timeout)))  # type: ignore[no-untyped-call]
        if self._tls is not None:
            connection.tls = self._tls.get()
        return connection


_AsyncConnection = async_redis.Connection | async_redis.SSLConnection


class AsyncRedis(_Session[_AsyncConnection, asyncio.Semaphore]):
    """For asyncio; redis-py knows no trio. Each event loop has its own connections."""

    def __init__(self, address: str) -> None:
        self._pools: MutableMapping[asyncio.AbstractEventLoop, _Pool[_AsyncConnection, asyncio.Semaphore]] = WeakKeyDictionary()
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
                async with asyncio.timeout(self._timeout):
                    await connection.disconnect()

    def _pool(self) -> _Pool[_AsyncConnection, asyncio.Semaphore]:
        loop = asyncio.get_running_loop()
        return self._pools.get(loop) or self._pools.setdefault(loop, _Pool(asyncio.Semaphore(_MOST)))

    async def _enter(self, pool: _Pool[_AsyncConnection, asyncio.Semaphore]) -> None:
        try:
            async with TimeLimit(PATIENCE):
                await pool.places.acquire()
        except TimeoutError:
            raise _busy() from None

    def _leave(self, pool: _Pool[_AsyncConnection, asyncio.Semaphore]) -> None:
        pool.places.release()

    async def _timed(self, pool: _Pool[_AsyncConnection, asyncio.Semaphore], command: Sequence[Argument], seconds: float) -> Any:
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
            return _nameless(async_redis.Connection(**_options(self._options, None)))
        connection = _nameless(async_redis.SSLConnection(**_options(self._options, None)))
        connection.ssl_context = self._tls
        return connection


def _busy() -> StoreRefusalError:
    return StoreRefusalError("Redis was not asked, since no connection became free")


def _nameless(connection: C) -> C:
    # Not to tell Redis which library this is spares a connection two round trips of the few that its deadline has room for.
    for name in ("driver_info", "lib_name", "lib_version"):
        setattr(connection, name, None)
    return connection


def _options(options: dict[str, Any], timeout: float | None) -> dict[str, Any]:
    return {
        **options,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": None,
        "protocol": 2,
        "decode_responses": False,
    }


def _tls(options: dict[str, Any]) -> async_redis.RedisSSLContext:
    context = async_redis.SSLConnection(**_options(options, None)).ssl_context
    context.get()
    return context
