"""The transport of event loops: asyncio's, and uvloop's."""

import asyncio
import socket
from typing import Any

from aiohappyeyeballs import start_connection

from completions_mw.backends.async_turns import acquire
from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.http.async_connection import AsyncHttpConnection
from completions_mw.backends.http.call_connection import CallConnection
from completions_mw.backends.http.connecting import HAPPY_EYEBALLS_DELAY
from completions_mw.backends.http.failures import connect_timed_out, not_connected
from completions_mw.backends.http.lookups import Lookups
from completions_mw.backends.http.request_head import Origin, tls_context
from completions_mw.backends.http.transport import HttpTransport, Pools
from completions_mw.backends.ownership import PerLoop
from completions_mw.backends.pool import Pool


class AsyncTransport(HttpTransport):
    """The `Transport` port for event loops. Each event loop has its own connections."""

    def __init__(
        self, max_connections: int = 100, wait: float = 3.0, keep_alive: float = 4.0, tick: float = 15.0, share: float = 1.0
    ) -> None:
        super().__init__(max_connections, wait, keep_alive, tick, share)
        self._pools: PerLoop[Pools] = PerLoop(dict)
        self._lookups: PerLoop[Lookups] = PerLoop(Lookups)

    async def aclose(self) -> None:
        """Close the connections of this event loop that no call uses."""
        for pool in (self._pools.pop() or {}).values():
            pool.close()

    def _own_pools(self) -> Pools:
        return self._pools.get()

    async def _acquire(self, pool: Pool[CallConnection], caller: str, until: float) -> CallConnection | None:
        return await acquire(pool, caller, until)

    async def _open(self, origin: Origin, seconds: float, deadline: float) -> CallConnection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(min(seconds, deadline - SYSTEM_CLOCK.monotonic())):
                sock = await self._connect(origin)
                try:
                    connection = AsyncHttpConnection(loop, sock)
                    tls: dict[str, Any] = {"ssl": tls_context(), "server_hostname": origin.host} if origin.is_tls else {}
                    await loop.create_connection(lambda: connection, sock=sock, **tls)
                except BaseException:
                    sock.close()
                    raise
        except TimeoutError:
            raise connect_timed_out() from None
        except OSError as error:
            raise not_connected(error) from error
        return connection

    async def _connect(self, origin: Origin) -> socket.socket:
        """Return a socket that is connected to the first address of `origin` that answers (RFC 8305).

        Raises:
            OSError: none of them can be connected to.
        """
        addresses = await self._lookups.get().addresses(origin)
        sock = await start_connection(addresses, happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY, loop=asyncio.get_running_loop())
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return sock
