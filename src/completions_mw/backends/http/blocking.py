"""Calls to upstreams from threads and greenlets: httpcore2's blocking pool, read and written under deadlines, watching the client."""

import select
import ssl
from collections.abc import Generator, Iterable
from threading import Lock
from typing import Any, Final, cast

import httpcore2

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.http.call import DeadlineStream, UpstreamCall, current_call
from completions_mw.backends.http.failures import FAILURES, gateway_error, without_message
from completions_mw.backends.http.messages import Body, PoolOptions, answer, tls_context, translate
from completions_mw.backends.ownership import PerProcess
from completions_mw.blocking import run_sync
from completions_mw.errors import ClientDisconnectedError
from completions_mw.http import ClientConnection, UpstreamRequest, UpstreamResponse

WATCH_DELAY: Final = 0.02
"""Seconds of silence after which the client is watched too: two more system calls for each read would be most of what an answer costs."""


class BlockingTransport(PerProcess):
    """The `Transport` port over blocking sockets, for threads and greenlets. Each process has its own connection pool.

    Args:
        max_connections: connections to all upstreams together.
        keep_alive: seconds of silence after which an unused connection is closed.
        tick: seconds of silence in an answer after which its body yields an empty piece; 0: never.
    """

    def __init__(self, max_connections: int = 100, keep_alive: float = 5.0, tick: float = 15.0) -> None:
        self._options: PoolOptions = {"max_connections": max_connections, "keepalive_expiry": keep_alive}
        self._tick = tick
        super().__init__()

    def reset(self) -> None:
        self._lock = Lock()
        self._opened: httpcore2.ConnectionPool | None = None

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        call = UpstreamCall(request)
        token = current_call.set(call)
        try:
            response = self._pool().handle_request(translate(request))
        except FAILURES as error:
            raise gateway_error(error) from without_message(error)
        finally:
            current_call.reset(token)
        stream: BlockingStream = response.extensions["network_stream"]
        return await answer(response, Body(BlockingChunkSource(response), call, stream.deadline_stream, self._tick), call)

    async def aclose(self) -> None:
        with self._lock:
            pool, self._opened = self._opened, None
        if pool is not None:
            pool.close()

    def _pool(self) -> httpcore2.ConnectionPool:
        if (pool := self._opened) is None:
            with self._lock:
                if (pool := self._opened) is None:
                    pool = httpcore2.ConnectionPool(tls_context(), network_backend=BlockingBackend(), **self._options)
                    self._opened = pool
        return pool


class BlockingSocketStream(DeadlineStream):
    """A connection of httpcore2's blocking pool; a read also ends when the client leaves.

    Args:
        stream: the connection.
    """

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        super().__init__()
        self._stream = stream

    async def receive(self, max_bytes: int, timeout: float) -> bytes:
        client = self._call.connection
        if client is None or timeout <= WATCH_DELAY:
            return self._stream.read(max_bytes, timeout)
        try:
            return self._stream.read(max_bytes, WATCH_DELAY)
        except httpcore2.ReadTimeout:
            wait_readable(self._stream.get_extra_info("socket"), client, timeout - WATCH_DELAY)
            return self._stream.read(max_bytes, timeout)

    async def send(self, buffer: bytes, timeout: float) -> None:
        self._stream.write(buffer, timeout)


def wait_readable(sock: Any, client: ClientConnection, timeout: float) -> None:
    """Wait until `sock` can be read.

    Raises:
        ClientDisconnectedError: the client left first.
        httpcore2.ReadTimeout: nothing happened for `timeout` seconds.
    """
    if isinstance(sock, ssl.SSLSocket) and sock.pending():
        return
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    poll.register(client, select.POLLIN)
    until = SYSTEM_CLOCK.monotonic() + timeout
    while True:
        left = max(0.0, until - SYSTEM_CLOCK.monotonic())
        ready = {descriptor for descriptor, _ in poll.poll(left * 1000)}
        if client.fileno() in ready and client.is_gone():
            raise ClientDisconnectedError
        if sock.fileno() in ready:
            return
        if not ready:
            raise httpcore2.ReadTimeout
        # The client has sent its next request already: its socket stays readable, and it is not gone.
        poll.unregister(client)


class BlockingStream(httpcore2.NetworkStream):
    """The network stream that httpcore2's blocking pool reads and writes.

    Args:
        stream: the connection.
    """

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream
        self.deadline_stream = BlockingSocketStream(stream)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return run_sync(self.deadline_stream.read(max_bytes))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        run_sync(self.deadline_stream.write(buffer))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return BlockingStream(self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class BlockingBackend(httpcore2.SyncBackend):
    """Opens connections for httpcore2's blocking pool."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        return BlockingStream(super().connect_tcp(host, port, timeout, local_address, socket_options))


class BlockingChunkSource:
    """The `ChunkSource` of a response of httpcore2's blocking pool.

    Args:
        response: the response, of which nothing was read but its head.
    """

    __slots__ = ("_iterator", "_response")

    def __init__(self, response: httpcore2.Response) -> None:
        self._response = response
        self._iterator = cast("Generator[bytes]", iter(cast("Iterable[bytes]", response.stream)))

    async def next_chunk(self) -> bytes:
        try:
            return next(self._iterator)
        except StopIteration:
            raise StopAsyncIteration from None

    async def aclose(self, *, ended: bool) -> None:
        self._iterator.close()
        self._response.close()
