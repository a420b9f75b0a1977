"""A small pool of redis-py's connections: the base class of `BlockingRedis` and `AsyncRedis`.

redis-py's own pools and clients keep no deadline for a whole call, retry what must not be retried, and cost more than a command does.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

from redis.asyncio.connection import RedisSSLContext, SSLConnection
from redis.connection import parse_url
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, RedisError, ResponseError

from completions_mw.backends.redis.failures import FAILURES, refusal, store_error, without_message
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

Command = Sequence[Argument]
"""A command of Redis and its arguments."""
C = TypeVar("C")
"""The type of connections."""


class Pool(Generic[C]):
    """The connections of a process or event loop."""

    def __init__(self) -> None:
        self.idle: list[C] = []
        self.closed = False
        self.reached = False
        """Whether Redis has ever answered on one of the connections."""
        self.timeouts = 0
        """How many times Redis has not answered in time."""

    def pop(self) -> C | None:
        """Take an idle connection, if there is one."""
        # Another thread may have been quicker.
        with suppress(IndexError):
            return self.idle.pop()
        return None


class RedisSession(ABC, Generic[C]):
    """Sends commands to Redis. A connection is reused only after whole answers, so no call can read the answer of another call.

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

    @abstractmethod
    async def call(self, *command: Argument) -> Any:
        """Send one command and return its answer: texts as bytes.

        Raises:
            NoScriptError: Redis does not know a script.
            StoreTimeoutError: there is no answer in time.
            StoreRefusalError: no connection was free, so that the command was not sent; or the failure is about this command alone.
            StoreError: any other failure.
        """

    @abstractmethod
    async def aclose(self) -> None: ...
    @abstractmethod
    async def _timed(self, pool: Pool[C], commands: Sequence[Command], seconds: float) -> list[Any]: ...
    @abstractmethod
    async def _send(self, connection: C, commands: Sequence[Command], deadline: float) -> None: ...
    @abstractmethod
    async def _read(self, connection: C) -> Any: ...
    @abstractmethod
    async def _drop(self, connection: C) -> None: ...
    @abstractmethod
    def _connection(self) -> C: ...

    async def _answers(self, pool: Pool[C], commands: Sequence[Command]) -> list[Any]:
        """Send commands together, and return the answer to each, or the exception by which Redis refuses it.

        Raises:
            StoreTimeoutError: there are not all answers in time.
            StoreError: any other failure, of all commands.
        """
        try:
            return await self._timed(pool, commands, self._timeout if pool.reached else self._first_timeout)
        except FAILURES as error:
            failure = store_error(error)
            # The frames of the connection hold the password, and those of the call the ids of callers.
            clear_locals(error)
            pool.timeouts += isinstance(failure, StoreTimeoutError)
            raise failure from without_message(error)

    async def _exchange(self, pool: Pool[C], commands: Sequence[Command], deadline: float) -> list[Any]:
        idle = pool.pop()
        if idle is not None:
            try:
                return await self._ask(pool, idle, commands, deadline)
            except RedisConnectionError:
                # Redis closed the idle connection, and most likely the other idle ones too. Every command may be sent twice.
                await self._drop_idle(pool)
        return await self._ask(pool, self._connection(), commands, deadline)

    async def _ask(self, pool: Pool[C], connection: C, commands: Sequence[Command], deadline: float) -> list[Any]:
        whole, is_replica = False, False
        answers: list[Any] = []
        try:
            await self._send(connection, commands, deadline)
            for _ in commands:
                try:
                    answers.append(await self._read(connection))
                except ResponseError as error:
                    # Older versions of Redis begin the message with the name of the script.
                    is_replica = is_replica or "READONLY" in str(error) or isinstance(error, ReadOnlyError)
                    answers.append(refusal(error))
            whole = pool.reached = True
        finally:
            if is_replica:
                # A primary that became a replica stays a replica, and the next connection may reach its successor.
                await self._drop_idle(pool)
            if whole and not (is_replica or pool.closed):
                pool.idle.append(connection)
            else:
                await self._drop(connection)
        return answers

    async def _drop_idle(self, pool: Pool[C]) -> None:
        while (connection := pool.pop()) is not None:
            await self._drop(connection)


def not_answered() -> StoreRefusalError:
    """Return the error of a call that has waited while others got no answer: it would wait for a time-out of its own, after theirs."""
    return StoreRefusalError("Redis was not asked, since it did not answer others in time")


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
