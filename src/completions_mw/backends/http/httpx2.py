"""Calls to upstreams by httpx2's engine, for what the own protocol has not: HTTP proxies and HTTP/2.

The engine gives its answers as they would stand on the wire in HTTP/1.1, to the connections that also serve the own transports: all bounds,
deadlines and promises are theirs. A connection is an engine of its own. It is kept only in HTTP/2, where no byte can be taken for another
call's: in HTTP/1.1 the engine does not tell what has come behind an answer.
"""

import asyncio
import logging
import os
import socket
import ssl
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from contextlib import aclosing, suppress
from functools import lru_cache, partial
from importlib.util import find_spec
from typing import Any, Final, Self, TypeVar, cast
from urllib.parse import unquote, urlsplit

import httpcore2
import httpx2

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.http.asynchronous import MAX_BUFFERED, AsyncHttpConnection, AsyncTransport
from completions_mw.backends.http.blocking import READ_BYTES, WATCH_AFTER, BlockingHttpConnection, BlockingTransport
from completions_mw.backends.http.call import MAX_IDLE_BYTES, UpstreamCall
from completions_mw.backends.http.connecting import connect
from completions_mw.backends.http.failures import connect_timed_out, not_connected
from completions_mw.backends.http.request_head import Origin
from completions_mw.backends.http.sockets import wait_at_most
from completions_mw.backends.http.transport import CallConnection
from completions_mw.http import ClientConnection

T = TypeVar("T")
_SPEAKS_HTTP2: Final = find_spec("h2") is not None
_FRAMING: Final = {b"connection", b"content-length", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
"""Headers of answers that say how these come: here they come in chunks."""


def _name_only(record: logging.LogRecord) -> bool:
    """Cut a log record down to the name of its event: at DEBUG the engine writes heads, and quotes what is not HTTP."""
    record.msg, record.args = str(record.msg).partition(" ")[0], ()
    return True


for _name in ("httpcore2.connection", "httpcore2.http11", "httpcore2.http2", "httpcore2.proxy", "hpack.hpack", "hpack.table"):
    logging.getLogger(_name).addFilter(_name_only)


@lru_cache(maxsize=1)
def tls_context() -> ssl.SSLContext:
    """Return the context of the engine's TLS connections: not that of the others, since the engine sets the protocols that it offers."""
    return httpx2.create_ssl_context(trust_env=False)


def _options(proxy: str | None) -> dict[str, Any]:
    """Return the options of an engine that has one connection."""
    options: dict[str, Any] = {"ssl_context": tls_context(), "max_connections": 1, "http2": _SPEAKS_HTTP2}
    if proxy is not None:
        parts = urlsplit(proxy)
        auth = (unquote(parts.username or ""), unquote(parts.password or "")) if "@" in parts.netloc else None
        options["proxy"] = httpcore2.Proxy(httpcore2.URL(scheme="http", host=parts.hostname or "", port=parts.port, target="/"), auth)
    return options


def _request(origin: Origin, head: bytes, body: bytes, trace: Callable[..., object]) -> httpcore2.Request:
    """Return the request whose head is `head`."""
    start, *lines = head[:-4].split(b"\r\n")
    url = httpcore2.URL(scheme="https" if origin.is_tls else "http", host=origin.host, port=origin.port, target=start.split(b" ")[1])
    headers = [cast("tuple[bytes, bytes]", tuple(line.split(b": ", 1))) for line in lines]
    return httpcore2.Request("POST", url, headers=headers, content=body, extensions={"trace": trace})


def _is_sent(event: str, info: dict[str, Any]) -> bool:
    """Tell whether an event of the engine says that the request itself is sent now: there is a connection, through the proxy if any."""
    return event.endswith("send_request_headers.started") and info["request"].method == b"POST"


def _head(response: httpcore2.Response) -> bytes:
    """Return the head of an answer in HTTP/1.1."""
    headers = [(name, value) for name, value in response.headers if name.lower() not in _FRAMING]
    if any(b"\n" in value or b"\r" in value for _, value in headers):
        # HTTP/2 can carry what would be two headers here.
        raise httpcore2.RemoteProtocolError
    ending = b"" if response.extensions["http_version"] == b"HTTP/2" else b"connection: close\r\n"
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return b"HTTP/1.1 %d \r\n%btransfer-encoding: chunked\r\n%b\r\n" % (response.status, lines, ending)


class _Network:
    """The network of one engine: its one connection, once that is made."""

    idle_bytes = 0
    """Bytes that have come without bringing the answer forward, as floods of informational responses do."""
    _socket: socket.socket | None = None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()

    @property
    def _connected(self) -> socket.socket:
        assert self._socket is not None
        return self._socket

    def _count(self, data: bytes) -> bytes:
        self.idle_bytes += len(data)
        if self.idle_bytes > 2 * MAX_IDLE_BYTES:
            raise httpcore2.RemoteProtocolError
        return data


def _connect_failure(error: Exception) -> Exception:
    """Return the failure of a call whose engine raised `error` before it sent the request."""
    reason = error if isinstance(error, OSError) else OSError()
    failure = connect_timed_out() if isinstance(error, TimeoutError) else not_connected(reason)
    # Others quote what a proxy said.
    failure.__cause__ = reason
    return failure


class _BlockingNetwork(_Network, httpcore2.NetworkBackend, httpcore2.NetworkStream):
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
        self._network = _BlockingNetwork()
        self._engine = httpcore2.ConnectionPool(network_backend=self._network, **_options(proxy))
        self._is_serving = False
        wait_at_most(ours, WATCH_AFTER)
        super().__init__(ours, lambda _: None)

    async def send(self, call: UpstreamCall, head: bytes, body: bytes) -> None:
        self._call = call
        self._is_serving = True
        self._sending = threading.Event()
        self._failure: Exception | None = None
        self._network.until = min(SYSTEM_CLOCK.monotonic() + self._seconds, call.deadline)
        threading.Thread(target=self._serve, args=(_request(self._origin, head, body, self._trace),), daemon=True).start()
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
        if _is_sent(event, info):
            self._sending.set()

    def _serve(self, request: httpcore2.Request) -> None:
        """Serve one call, in a thread of its own."""
        try:
            response = self._engine.handle_request(request)
            self._give(_head(response))
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
            self._failure = _connect_failure(error)
            self._sending.set()
        elif isinstance(error, httpcore2.NetworkError | OSError):
            self.close()
        else:
            with suppress(OSError):
                self._theirs.shutdown(socket.SHUT_WR)

    def _close_engine(self) -> None:
        self._network.close()
        self._theirs.close()


class _AsyncNetwork(_Network, httpcore2.AsyncNetworkBackend, httpcore2.AsyncNetworkStream):
    """For event loops."""

    def __init__(self, connect: Callable[[Origin], Awaitable[socket.socket]]) -> None:
        self._connect = connect
        self._loop = asyncio.get_running_loop()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None

    async def connect_tcp(self, host: str, port: int, *_: object, **__: object) -> httpcore2.AsyncNetworkStream:
        self._socket = await self._connect(Origin(False, host, port))
        return self

    async def start_tls(self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, *_: object, **__: object) -> Self:
        self._tls = ssl_context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_hostname)
        await self._over_tls(self._tls.do_handshake)
        return self

    async def read(self, max_bytes: int, *_: object, **__: object) -> bytes:
        try:
            return self._count(await self._receive() if self._tls is None else await self._over_tls(partial(self._tls.read, max_bytes)))
        except OSError as error:
            raise httpcore2.ReadError from error

    async def write(self, buffer: bytes, *_: object, **__: object) -> None:
        try:
            if self._tls is None:
                await self._loop.sock_sendall(self._connected, buffer)
            elif buffer:
                await self._over_tls(partial(self._tls.write, buffer))
        except OSError as error:
            raise httpcore2.WriteError from error

    async def aclose(self) -> None:
        self.close()

    def get_extra_info(self, info: str) -> Any:
        return self._tls if info == "ssl_object" else None

    async def _receive(self) -> bytes:
        return await self._loop.sock_recv(self._connected, READ_BYTES)

    async def _over_tls(self, step: Callable[[], T]) -> T:
        """Return what a step of TLS gives, once what it needs is sent and received."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                pass
            finally:
                if self._outgoing.pending:
                    await self._loop.sock_sendall(self._connected, self._outgoing.read())
            if data := await self._receive():
                self._incoming.write(data)
            else:
                self._incoming.write_eof()


class AsyncHttpx2Connection(AsyncHttpConnection):
    """A connection of an event loop that receives, from a task, what the engine gives. `connect` returns a socket."""

    def __init__(self, connect: Callable[[Origin], Awaitable[socket.socket]], origin: Origin, seconds: float, proxy: str | None) -> None:
        super().__init__(asyncio.get_running_loop(), None)
        self._origin = origin
        self._seconds = seconds
        self._network = _AsyncNetwork(connect)
        self._engine = httpcore2.AsyncConnectionPool(network_backend=self._network, **_options(proxy))
        self._room = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def is_usable(self) -> bool:
        return not self._is_lost

    async def send(self, call: UpstreamCall, head: bytes, body: bytes) -> None:
        self._call = call
        self._sending: asyncio.Future[Exception | None] = self._loop.create_future()
        self._task = self._loop.create_task(self._serve(_request(self._origin, head, body, self._trace)))
        try:
            async with asyncio.timeout(min(self._seconds, call.deadline - SYSTEM_CLOCK.monotonic())):
                failure = await self._sending
        except TimeoutError:
            raise connect_timed_out() from None
        if failure is not None:
            raise failure

    async def wait(self, until: float, client: ClientConnection | None) -> bool:
        self._room.set()
        return await super().wait(until, client)

    def close(self) -> None:
        super().close()
        if self._task is None:
            self._network.close()
        else:
            self._task.cancel()

    async def _trace(self, event: str, info: dict[str, Any]) -> None:
        if _is_sent(event, info) and self._call is not None and not self._sending.done():
            # At once: whoever awaits it may come after the answer.
            self._call.sent(SYSTEM_CLOCK.monotonic())
            self._sending.set_result(None)

    async def _serve(self, request: httpcore2.Request) -> None:
        """Serve one call, in a task of its own."""
        try:
            response = await self._engine.handle_async_request(request)
            await self._give(_head(response))
            async with aclosing(cast("AsyncGenerator[bytes]", cast("AsyncIterable[bytes]", response.stream).__aiter__())) as pieces:
                async for piece in pieces:
                    await self._give(b"%x\r\n%b\r\n" % (len(piece), piece))
            # Before the call ends: the next one may come at once.
            await response.aclose()
            self._task = None
            await self._give(b"0\r\n\r\n")
        except Exception as error:
            if self._sending.done():
                self._lose(is_clean=not isinstance(error, httpcore2.NetworkError | OSError))
            else:
                self._sending.set_result(_connect_failure(error))
        finally:
            self._task = None
            if self._is_lost:
                self._network.close()

    async def _give(self, data: bytes) -> None:
        self._network.idle_bytes = 0
        self._room.clear()
        self.data_received(data)
        if self._call is not None and self._call.buffered > MAX_BUFFERED:
            await self._room.wait()


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


class AsyncHttpx2Transport(AsyncTransport):
    """The `Transport` port over httpx2's engine, for event loops, through the HTTP proxy with the URL `proxy`, if any."""

    def __init__(self, *pool: Any, proxy: str | None = None) -> None:
        self._proxy = proxy
        super().__init__(*pool)

    async def _open(self, origin: Origin, seconds: float, deadline: float) -> CallConnection:
        return AsyncHttpx2Connection(self._connect, origin, seconds, self._proxy)
