"""The transport over httpx2's engine for threads and greenlets: a thread serves each call of a connection."""

import os
import socket
import ssl
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Self, cast

import httpcore2

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.http.blocking import BlockingTransport
from completions_mw.backends.http.blocking_connection import WATCH_AFTER, BlockingHttpConnection
from completions_mw.backends.http.call import UpstreamCall
from completions_mw.backends.http.call_connection import CallConnection
from completions_mw.backends.http.connecting import connect
from completions_mw.backends.http.failures import connect_timed_out, not_connected
from completions_mw.backends.http.httpx2.engine import Network, connect_failure, engine_options, engine_request, head_of, is_sent
from completions_mw.backends.http.request_head import Origin
from completions_mw.backends.http.sockets import wait_at_most


class BlockingHttpx2Transport(BlockingTransport):
    """The `Transport` port over httpx2's engine, for threads and greenlets, through the HTTP proxy with the URL `proxy`, if any."""

    def __init__(self, *pool: Any, proxy: str | None = None) -> None:
        self._proxy = proxy
        super().__init__(*pool)

    async def _open(self, origin: Origin, seconds: float, deadline: float) -> CallConnection:
        try:
            return BlockingHttpx2Connection(*socket.socketpair(), origin, seconds, self._proxy)
        except OSError as error:
            raise not_connected(error) from error


class BlockingNetwork(Network, httpcore2.NetworkBackend, httpcore2.NetworkStream):
    """For threads and greenlets."""

    until = 0.0
    """When the connection must have been made; seconds of the monotonic clock."""
    _is_aborted = False

    def connect_tcp(self, host: str, port: int, *_: object, **__: object) -> httpcore2.NetworkStream:
        self._socket = connect(host, port, self.until)
        return self._unless_aborted()

    def start_tls(self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, *_: object, **__: object) -> Self:
        # The handshake comes later, so that `abort` has the socket meanwhile.
        options: dict[str, Any] = {"server_hostname": server_hostname, "do_handshake_on_connect": False, "suppress_ragged_eofs": False}
        self._socket = wrapped = ssl_context.wrap_socket(self._connected, **options)
        self._unless_aborted()
        wrapped.do_handshake()
        return self

    def read(self, max_bytes: int, *_: object, **__: object) -> bytes:
        try:
            return self._count(self._connected.recv(max_bytes))
        except OSError as error:
            raise httpcore2.ReadError from error

    def write(self, buffer: bytes, *_: object, **__: object) -> None:
        try:
            self._connected.sendall(buffer)
        except OSError as error:
            raise httpcore2.WriteError from error

    def abort(self) -> None:
        """End what another thread does with the connection."""
        self._is_aborted = True
        if self._socket is not None:
            with suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def _unless_aborted(self) -> Self:
        if self._is_aborted:
            # Before it had this socket.
            raise TimeoutError
        return self

    def get_extra_info(self, info: str) -> Any:
        return self._socket if info == "ssl_object" and isinstance(self._socket, ssl.SSLSocket) else None


class BlockingHttpx2Connection(BlockingHttpConnection):
    """A connection of threads and greenlets: one end of a pair of sockets, to whose other end a thread writes what the engine gives."""

    def __init__(self, ours: socket.socket, theirs: socket.socket, origin: Origin, seconds: float, proxy: str | None) -> None:
        self._theirs = theirs
        self._origin = origin
        self._seconds = seconds
        self._network = BlockingNetwork()
        self._engine = httpcore2.ConnectionPool(network_backend=self._network, **engine_options(proxy))
        self._is_serving = False
        wait_at_most(ours, WATCH_AFTER)
        super().__init__(ours, lambda _: None)

    async def send(self, call: UpstreamCall, head: bytes, body: bytes) -> None:
        self._call = call
        self._is_serving = True
        self._sending = threading.Event()
        self._failure: Exception | None = None
        self._network.until = min(SYSTEM_CLOCK.monotonic() + self._seconds, call.deadline)
        threading.Thread(target=self._serve, args=(engine_request(self._origin, head, body, self._trace),), daemon=True).start()
        if not self._sending.wait(self._network.until - SYSTEM_CLOCK.monotonic()):
            raise connect_timed_out()
        if self._failure is not None:
            raise self._failure
        call.sent(SYSTEM_CLOCK.monotonic())

    def close(self) -> None:
        super().close()
        if self._process == os.getpid():
            self._network.abort()
        if not self._is_serving:
            self._close_engine()

    def _trace(self, event: str, info: dict[str, Any]) -> None:
        if is_sent(event, info):
            self._sending.set()

    def _serve(self, request: httpcore2.Request) -> None:
        """Serve one call, in a thread of its own."""
        try:
            response = self._engine.handle_request(request)
            self._give(head_of(response))
            for piece in cast("Iterable[bytes]", response.stream):
                self._give(b"%x\r\n%b\r\n" % (len(piece), piece))
            # Before the call ends: the next one may come at once.
            response.close()
            self._is_serving = False
            self._give(b"0\r\n\r\n")
        except Exception as error:
            self._is_serving = False
            self._fail(error)
        finally:
            # Whoever comes second, this thread or who closes the connection, closes what is below it.
            if self._is_closed and not self._is_serving:
                self._close_engine()

    def _give(self, data: bytes) -> None:
        self._network.idle_bytes = 0
        self._theirs.sendall(data)

    def _fail(self, error: Exception) -> None:
        if not self._sending.is_set():
            self._failure = connect_failure(error)
            self._sending.set()
        elif isinstance(error, httpcore2.NetworkError | OSError):
            self.close()
        else:
            with suppress(OSError):
                self._theirs.shutdown(socket.SHUT_WR)

    def _close_engine(self) -> None:
        self._network.close()
        self._theirs.close()
