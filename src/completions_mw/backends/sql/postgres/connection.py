"""Connections to PostgreSQL on which no call takes longer than its deadline.

A server process that is stopped hangs psycopg for ever, and no time-out of the server helps. psycopg does its I/O in generators that say
what they wait for, so the deadline is kept here, around these generators. A connection whose call was cut off cannot be used any more.
"""

import select
from collections.abc import Generator, Mapping
from typing import Any, Final, TypeVar

import anyio
import psycopg
from psycopg import generators, pq, waiting
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.numeric import Int8Dumper

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.polling import new_poll
from completions_mw.backends.sql.database import Rows
from completions_mw.backends.sql.values import bound, restored
from completions_mw.core.ports import StoreTimeoutError

T = TypeVar("T")
Row = tuple[Any, ...]
_STATEMENT_SHARE: Final = 0.9
"""Share of a call's time after which the server ends the statement: a little earlier than we do, so that the connection survives."""
_LOCK_SHARE: Final = 0.8
"""Share of a call's time after which the server stops waiting for a lock."""


def conninfo(address: str, timeout: float) -> str:
    """Return the connection string of libpq for `address`, for calls that may take `timeout` seconds.

    Raises:
        psycopg.Error: the address cannot be read.
    """
    limits = " ".join(f"-c {name}={milliseconds}" for name, milliseconds in server_timeouts(timeout).items())
    options = f"{conninfo_to_dict(address).get('options') or ''} {limits} -c timezone=UTC".lstrip()
    return make_conninfo(address, options=options, client_encoding="utf8", fallback_application_name="completions_mw")


def server_timeouts(seconds: float) -> dict[str, int]:
    """Return the server's settings, in milliseconds, for calls that may take `seconds`; never 0, which would be no limit."""
    milliseconds = {"statement_timeout": seconds * _STATEMENT_SHARE * 1000, "lock_timeout": seconds * _LOCK_SHARE * 1000}
    return {name: max(int(limit), 1) for name, limit in milliseconds.items()}


def connect(conninfo: str, deadline: float) -> pq.abc.PGconn:
    """Connect, in this thread.

    Raises:
        StoreTimeoutError: the server did not answer before `deadline`.
    """
    pgconn: pq.abc.PGconn = waiting.wait_conn(_until(deadline, generators.connect(conninfo)), _left(deadline))
    return pgconn


class BlockingConnection(psycopg.Connection[Row]):
    """A connection for threads and greenlets.

    Args:
        pgconn: as `connect` returns it.
    """

    def __init__(self, pgconn: pq.abc.PGconn) -> None:
        super().__init__(pgconn)
        self.deadline = 0.0
        _tell_types(self)

    async def run(self, sql: str, params: Mapping[str, Any] | None = None) -> Rows:
        """Run one statement; return its rows."""
        cursor = self.execute(sql, None if params is None else bound(params))
        return restored(cursor) if cursor.description else []

    def wait(self, gen: Generator[Any, Any, T], *_: Any, **__: Any) -> T:
        return waiting.wait(_until(self.deadline, gen), self.pgconn.socket, _left(self.deadline))


class AsyncConnection(psycopg.AsyncConnection[Row]):
    """A connection for event loops, whose calls run under a `TimeLimit`.

    Args:
        pgconn: as `connect` returns it.
    """

    def __init__(self, pgconn: pq.abc.PGconn) -> None:
        super().__init__(pgconn)
        self.deadline = 0.0
        _tell_types(self)

    async def run(self, sql: str, params: Mapping[str, Any] | None = None) -> Rows:
        """Run one statement; return its rows."""
        cursor = await self.execute(sql, None if params is None else bound(params))
        return restored(await cursor.fetchall()) if cursor.description else []

    async def wait(self, gen: Generator[Any, Any, T], *_: Any, **__: Any) -> T:
        try:
            wanted = next(gen)
            while True:
                wanted = gen.send(await _ready(self.pgconn.socket, wanted))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


Connection = BlockingConnection | AsyncConnection


def is_usable(connection: Connection) -> bool:
    """Return whether an idle connection is still open: a connection that the server has closed has something to read."""
    if connection.closed:
        return False
    poll = new_poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    return not poll.poll(0)


def _tell_types(connection: Connection) -> None:
    # All integers have one type, so that a statement is prepared once, not once for each size of integer.
    connection.adapters.register_dumper(int, Int8Dumper)


def _until(deadline: float, gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and SYSTEM_CLOCK.monotonic() >= deadline:
                raise StoreTimeoutError("PostgreSQL: no answer in time")
            wanted = gen.send(ready)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def _left(deadline: float) -> float:
    return max(deadline - SYSTEM_CLOCK.monotonic(), 0.001)


async def _ready(fileno: int, wanted: waiting.Wait) -> waiting.Ready:
    if wanted & waiting.Wait.W:
        await anyio.wait_writable(fileno)
        return waiting.Ready.W
    await anyio.wait_readable(fileno)
    return waiting.Ready.R
