"""Calls to upstreams over connections that are kept: the logic of both transports, written once.

A request is sent on a kept connection where there is one. If the upstream closed that connection meanwhile, and no byte of an answer has
come, the request is sent once more, on a fresh one.
"""

from abc import ABC, abstractmethod
from typing import Final, Protocol

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.http.call import UpstreamCall
from completions_mw.backends.http.failures import disconnected
from completions_mw.backends.http.request_head import Origin, request_head
from completions_mw.backends.pool import Connection, Pool
from completions_mw.errors import ClientDisconnectedError
from completions_mw.http import ClientConnection, UpstreamRequest, UpstreamResponse

DRAIN_SECONDS: Final = 0.1
"""How long a complete answer may take to end its body before its connection is closed instead of reused."""
STALE_SECONDS: Final = 5.0
"""Seconds in which the end of a kept connection shows that the upstream had closed it already; later it may have worked for the request."""
HAPPY_EYEBALLS_DELAY: Final = 0.25
"""Seconds after which the next address is tried beside the one that does not answer (RFC 8305, section 5)."""
JOINED_BYTES: Final = 64 * 1024
"""Bodies up to this size are sent together with their head."""


class CallConnection(Connection, Protocol):
    """A connection that serves calls, one after another."""

    async def send(self, call: UpstreamCall, head: bytes, body: bytes) -> None:
        """Begin to serve `call`: write the request.

        Args:
            call: is fed with what arrives from now on.
            head: of the request.
            body: of the request.

        Raises:
            GatewayError: the request could not be written in time. A connection that was lost shows in the call.
        """
        ...

    async def wait(self, until: float, client: ClientConnection | None) -> bool:
        """Wait until the call has news; return False if there are none at the time `until`. Loses nothing.

        Args:
            until: seconds of the monotonic clock.
            client: for whom the call is made, where its leaving is to end the wait.

        Raises:
            ClientDisconnectedError: the client left.
        """
        ...

    def end_call(self) -> None:
        """Serve no call any more: what arrives now closes the connection."""
        ...

    def drop(self) -> None:
        """Close the connection in the garbage collector, which may interrupt anything."""
        ...


Pools = dict[Origin, Pool[CallConnection]]


class HttpTransport(ABC):
    """The `Transport` port over connections of its own.

    Args:
        max_connections: to each upstream.
        wait: seconds for which a call waits for one of them.
        keep_alive: seconds for which an unused connection is kept.
        tick: seconds of silence in an answer after which its body yields an empty piece; 0: never.
        share: part of `max_connections` that one caller may have.
    """

    def __init__(self, max_connections: int, wait: float, keep_alive: float, tick: float, share: float) -> None:
        self._max_connections = max_connections
        self._wait = wait
        self._keep_alive = keep_alive
        self._tick = tick
        self._share = share

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        origin, start = request_head(request.url, request.headers)
        head = b"%b%d\r\n\r\n" % (start, len(request.body))
        pool = self._pool(origin)
        began, is_repeated = SYSTEM_CLOCK.monotonic(), False
        while True:
            call = UpstreamCall(request, began)
            connection = await self._acquire(pool, request.caller, min(call.deadline, SYSTEM_CLOCK.monotonic() + self._wait))
            if is_repeated and connection is not None:
                connection.close()
                connection = None
            is_kept = connection is not None
            try:
                if connection is None:
                    connection = await self._open(origin, request.timeouts.connect, call.deadline)
                await connection.send(call, head, request.body)
                while not call.has_head and call.failure is None:
                    if not await connection.wait(call.read_by, request.connection) and SYSTEM_CLOCK.monotonic() >= call.read_by:
                        call.expire()
                if call.failure is None or call.has_head:
                    # Even if the call failed in the same moment: what came is worth something to the client, and is charged.
                    return UpstreamResponse(call.status, call.headers, Body(call, connection, request.connection, pool, self._tick))
            except BaseException:
                if connection is not None:
                    connection.close()
                pool.release(None, request.caller, SYSTEM_CLOCK.monotonic())
                raise
            connection.close()
            pool.release(None, request.caller, SYSTEM_CLOCK.monotonic())
            is_stale = is_kept and call.is_disconnected and not call.has_begun
            if not is_stale or SYSTEM_CLOCK.monotonic() - began > STALE_SECONDS:
                raise call.failure
            # The upstream closed a kept connection before it saw the request: once more, on a new one.
            is_repeated = True

    def _pool(self, origin: Origin) -> Pool[CallConnection]:
        """Return the pool of an upstream, of this process and event loop."""
        pools = self._own_pools()
        # Threads may come here at once: `setdefault` has one of their pools win.
        return pools.get(origin) or pools.setdefault(origin, Pool(self._max_connections, self._keep_alive, self._share))

    @abstractmethod
    def _own_pools(self) -> Pools:
        """Return the pools of this process and event loop."""

    @abstractmethod
    async def _acquire(self, pool: Pool[CallConnection], caller: str, until: float) -> CallConnection | None:
        """Return a kept connection, or None for the permission to open one.

        Raises:
            ServiceUnavailableError: there is none in time.
        """

    @abstractmethod
    async def _open(self, origin: Origin, seconds: float, deadline: float) -> CallConnection:
        """Return a new connection.

        Raises:
            GatewayError: it could not be opened in time.
        """


class Body:
    """The `UpstreamBody` of both transports. One that is dropped unread closes its connection.

    A reader whose client leaves, or whose task is cancelled, may read on.
    """

    __slots__ = ("_call", "_client", "_connection", "_has_taken", "_is_closed", "_pool", "_tick")

    def __init__(
        self, call: UpstreamCall, connection: CallConnection, client: ClientConnection | None, pool: Pool[CallConnection], tick: float
    ) -> None:
        self._call = call
        self._client = client
        self._connection = connection
        self._pool = pool
        self._tick = tick or float("inf")
        self._has_taken = False
        self._is_closed = False

    async def __anext__(self) -> bytes:
        if self._is_closed:
            raise StopAsyncIteration
        call = self._call
        try:
            while True:
                if call.buffered:
                    self._has_taken = True
                    return call.take()
                if call.is_complete:
                    break
                if call.failure is not None:
                    raise call.failure
                now = SYSTEM_CLOCK.monotonic()
                if self._has_taken:
                    self._has_taken = False
                    call.awaited(now)
                until = min(call.read_by, now + self._tick)
                if not await self._connection.wait(until, self._client) and not call.buffered:
                    if SYSTEM_CLOCK.monotonic() < call.read_by:
                        return b""
                    call.expire()
                if self._is_closed:
                    # Somebody else has closed it meanwhile: no reader may take that for the end of the answer.
                    raise disconnected()
        except Exception as error:
            if not isinstance(error, ClientDisconnectedError):
                self._close()
            raise
        self._release()
        raise StopAsyncIteration

    def detach(self, tick: float) -> None:
        self._client, self._tick = None, tick

    async def finish(self) -> None:
        call, until = self._call, SYSTEM_CLOCK.monotonic() + DRAIN_SECONDS
        try:
            while not (self._is_closed or call.is_complete) and call.failure is None and await self._connection.wait(until, None):
                # The client has everything: nobody reads what still comes.
                call.take()
        finally:
            self._release()

    async def aclose(self) -> None:
        self._close()

    def __del__(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._connection.drop()
            self._pool.drop(self._call.caller)

    def _release(self) -> None:
        if self._is_closed:
            return
        if not (self._call.is_complete and self._call.is_reusable):
            return self._close()
        self._is_closed = True
        self._connection.end_call()
        self._pool.release(self._connection, self._call.caller, SYSTEM_CLOCK.monotonic())

    def _close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._connection.close()
            self._pool.release(None, self._call.caller, SYSTEM_CLOCK.monotonic())
