"""The transport of threads and greenlets."""

import ssl
from functools import partial
from typing import Any

from completions_mw.backends.blocking_turns import acquire
from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.http.blocking_connection import WATCH_AFTER, BlockingHttpConnection
from completions_mw.backends.http.call_connection import CallConnection
from completions_mw.backends.http.connecting import connect
from completions_mw.backends.http.failures import connect_timed_out, not_connected
from completions_mw.backends.http.request_head import Origin, tls_context
from completions_mw.backends.http.sockets import wait_at_most
from completions_mw.backends.http.transport import HttpTransport, Pools
from completions_mw.backends.ownership import PerProcess
from completions_mw.backends.pool import Pool


class BlockingTransport(HttpTransport, PerProcess):
    """The `Transport` port for threads and greenlets. Each process has its own connections."""

    def __init__(
        self, max_connections: int = 100, wait: float = 3.0, keep_alive: float = 4.0, tick: float = 15.0, share: float = 1.0
    ) -> None:
        HttpTransport.__init__(self, max_connections, wait, keep_alive, tick, share)
        PerProcess.__init__(self)

    def reset(self) -> None:
        self._pools: Pools = {}
        self._sessions: dict[Origin, ssl.SSLSession | None] = {}

    async def aclose(self) -> None:
        """Close the connections of this process that no call uses."""
        pools = self._pools
        self.reset()
        for pool in pools.values():
            pool.close()

    def _own_pools(self) -> Pools:
        return self._pools

    async def _acquire(self, pool: Pool[CallConnection], caller: str, until: float) -> CallConnection | None:
        return acquire(pool, caller, until)

    async def _open(self, origin: Origin, seconds: float, deadline: float) -> CallConnection:
        until = min(SYSTEM_CLOCK.monotonic() + seconds, deadline)
        try:
            sock = connect(origin.host, origin.port, until)
            try:
                if origin.is_tls:
                    sock.settimeout(max(0.001, until - SYSTEM_CLOCK.monotonic()))
                    # The handshake comes afterwards: a greenlet killed in it would leave the socket to the garbage collector.
                    options: dict[str, Any] = {"suppress_ragged_eofs": False, "do_handshake_on_connect": False}
                    session = self._sessions.get(origin)
                    sock = tls = tls_context().wrap_socket(sock, server_hostname=origin.host, session=session, **options)
                    tls.do_handshake()
                wait_at_most(sock, WATCH_AFTER)
            except BaseException:
                sock.close()
                raise
        except TimeoutError:
            raise connect_timed_out() from None
        except OSError as error:
            raise not_connected(error) from error
        return BlockingHttpConnection(sock, partial(self._sessions.__setitem__, origin))
