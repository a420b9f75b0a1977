"""A small pool of redis-py's connections: the base class of `BlockingRedis` and `AsyncRedis`.

redis-py's own pools and clients keep no deadline for a whole call, retry what must not be retried, and cost more than a command does.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, Generic, Protocol, TypeVar

from redis.asyncio.connection import RedisSSLContext, SSLConnection
from redis.connection import parse_url
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError, ResponseError

from completions_mw.backends.redis.failures import FAILURES, store_error, without_message
from completions_mw.backends.redis.scripts import Argument
from completions_mw.core.ports import StoreRefusalError, StoreTimeoutError
from completions_mw.errors import ConfigurationError
from completions_mw.frames import clear_locals

TIMEOUT: Final = 0.05
"""Seconds for a whole call, connecting included, unless the address has a `socket_timeout`."""
FIRST_TIMEOUT: Final = 0.5
"""Seconds for a whole call until Redis has answered once: host names are looked up and TLS is negotiated then. Not used where the address
has a `socket_timeout`."""
ACQUIRE_TIMEOUT: Final = 1.0
"""Seconds for which a call waits for a free connection, before the time-out of the call begins; never less than that time-out."""
MAX_CONNECTIONS: Final = 32
"""Connections of a process or event loop: calls are so short that further calls can wait for a free connection."""
RESERVED_OPTIONS: Final = ("connection_class", "max_connections", "timeout", "retry_on_error", "retry_on_timeout", "health_check_interval")
"""Options of an address that are ignored: they are about the pools and clients of redis-py."""

C = TypeVar("C")
"""The type of connections."""
S = TypeVar("S", bound="Semaphore")
"""The type of the semaphore that bounds how many connections are in use."""


class Semaphore(Protocol):
    """What bounds how many connections are in use."""

    def release(self) -> None: ...


class Pool(Generic[C, S]):
    """The connections of a process or event loop.

    Args:
        free: counts the connections that may still be used at the same time.
    """

    __slots__ = ("closed", "free", "idle", "reached", "timeouts")

    def __init__(self, free: S) -> None:
        self.free = free
        self.idle: list[C] = []
        self.closed = False
        self.reached = False
        """Whether Redis has ever answered on one of the connections."""
        self.timeouts = 0
        """How many calls Redis has not answered in time."""

    def pop(self) -> C | None:
        """Take an idle connection, if there is one."""
        # Another thread may have been quicker.
        with suppress(IndexError):
            return self.idle.pop()
        return None


class RedisSession(ABC, Generic[C, S]):
    """Sends commands to Redis. A connection is reused only after a whole answer, so no call can read the answer of another call.

    Args:
        address: as redis-py takes it, with its options.
        acquire_timeout: seconds for which a call waits for a free connection.
        setting: setting that has the address, for errors.

    Raises:
        ConfigurationError: redis-py does not understand the address or one of its options.
    """

    def __init__(self, address: str, acquire_timeout: float = ACQUIRE_TIMEOUT, setting: str = "stores.admission") -> None:
        try:
            options = dict(parse_url(address))  # type: ignore[no-untyped-call]
            given = options.get("socket_timeout")
            self._timeout: float = given or TIMEOUT
            self._first_timeout: float = given or FIRST_TIMEOUT
            self._acquire_timeout = max(acquire_timeout, self._timeout)
            self._options: dict[str, Any] = {name: value for name, value in options.items() if name not in RESERVED_OPTIONS}
            # Made once, and outside of any deadline: to load the system's certificates takes as long as a call may take.
            self._tls = _tls(self._options) if address.startswith("rediss:") else None
            self._connection()
        except (TypeError, ValueError, OSError, RedisError):
            # The texts of these exceptions quote the address.
            raise ConfigurationError(f"{setting}: Redis does not understand the address, or one of its options") from None

    async def call(self, *command: Argument) -> Any:
        """Send one command and return its answer: texts as bytes.

        Raises:
            NoScriptError: Redis does not know a script.
            StoreTimeoutError: there is no answer in time.
            StoreRefusalError: no connection was free, so that the command was not sent; or the failure is about this command alone.
            StoreError: any other failure.
        """
        pool = self._pool()
        timeouts = pool.timeouts
        if not await self._acquire(pool.free, self._acquire_timeout):
            raise StoreRefusalError("Redis was not asked, since no connection became free")
        try:
            if pool.timeouts != timeouts:
                # Otherwise each waiting call would wait for a time-out of its own, one after the other.
                raise StoreRefusalError("Redis was not asked, since it did not answer others in time")
            return await self._timed(pool, command, self._timeout if pool.reached else self._first_timeout)
        except NoScriptError:
            raise
        except FAILURES as error:
            failure = store_error(error)
            # The frames of the connection hold the password, and those of the call the ids of callers.
            clear_locals(error)
            pool.timeouts += isinstance(failure, StoreTimeoutError)
            raise failure from without_message(error)
        finally:
            pool.free.release()

    @abstractmethod
    async def aclose(self) -> None: ...
    @abstractmethod
    def _pool(self) -> Pool[C, S]: ...
    @abstractmethod
    async def _acquire(self, free: S, seconds: float) -> bool: ...
    @abstractmethod
    async def _timed(self, pool: Pool[C, S], command: Sequence[Argument], seconds: float) -> Any: ...
    @abstractmethod
    async def _talk(self, connection: C, command: Sequence[Argument], deadline: float) -> Any: ...
    @abstractmethod
    async def _drop(self, connection: C) -> None: ...
    @abstractmethod
    def _connection(self) -> C: ...

    async def _exchange(self, pool: Pool[C, S], command: Sequence[Argument], deadline: float) -> Any:
        idle = pool.pop()
        if idle is not None:
            try:
                return await self._ask(pool, idle, command, deadline)
            except RedisConnectionError:
                # Redis closed the idle connection, and most likely the other idle ones too. Every command may be sent twice.
                await self._drop_idle(pool)
        return await self._ask(pool, self._connection(), command, deadline)

    async def _ask(self, pool: Pool[C, S], connection: C, command: Sequence[Argument], deadline: float) -> Any:
        whole = False
        try:
            answer = await self._talk(connection, command, deadline)
            whole = pool.reached = True
            return answer
        except ResponseError as error:
            # A primary that became a replica stays a replica, and the next connection may reach its successor. Older versions of Redis
            # begin the message with the name of the script.
            whole = "READONLY" not in str(error) and not isinstance(error, ReadOnlyError)
            if not whole:
                await self._drop_idle(pool)
            raise
        finally:
            if whole and not pool.closed:
                pool.idle.append(connection)
            else:
                await self._drop(connection)

    async def _drop_idle(self, pool: Pool[C, S]) -> None:
        while (connection := pool.pop()) is not None:
            await self._drop(connection)


def without_client_info(connection: C) -> C:
    """Keep a connection from telling Redis the client library's name: its deadline has room for few round trips, and that takes two."""
    for name in ("driver_info", "lib_name", "lib_version"):
        setattr(connection, name, None)
    return connection


def options_of(options: dict[str, Any], timeout: float | None) -> dict[str, Any]:
    """Return the options of one connection, with redis-py's own retries and decoding off.

    Args:
        options: the options of the address.
        timeout: seconds for connecting, and for each read; None: no time-out of redis-py.
    """
    return {
        **options,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": None,
        "protocol": 2,
        "decode_responses": False,
    }


def _tls(options: dict[str, Any]) -> RedisSSLContext:
    context = SSLConnection(**options_of(options, None)).ssl_context
    context.get()
    return context
