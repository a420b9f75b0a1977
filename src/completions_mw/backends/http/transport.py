"""Calls to upstreams over connections that are kept: the logic of both transports, written once.

A request is sent on a kept connection where there is one. If the upstream closed that connection meanwhile, and no byte of an answer has
come, the request is sent once more, on a fresh one.
"""

from abc import ABC, abstractmethod
from typing import Final

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.http.body import Body
from completions_mw.backends.http.call import UpstreamCall
from completions_mw.backends.http.call_connection import CallConnection
from completions_mw.backends.http.request_head import Origin, request_head
from completions_mw.backends.pool import Pool
from completions_mw.http import UpstreamRequest, UpstreamResponse

STALE_SECONDS: Final = 5.0
"""Seconds in which the end of a kept connection shows that the upstream had closed it already; later it may have worked for the request."""


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
