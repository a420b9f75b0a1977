"""Calls to upstreams on event loops: httpcore2's async pool over anyio's streams, read and written under the deadlines of calls.

httpcore2's own network backend wraps every read in three context managers and asks for readiness through typed attributes: together that
costs more than all that the gateway does with a request.
"""

import select
import ssl
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from typing import Any, cast

import anyio
import anyio.abc
import httpcore2
from anyio import BrokenResourceError, CancelScope, ClosedResourceError, EndOfStream, current_time
from anyio.streams.tls import TLSAttribute, TLSStream

from completions_mw.backends.http.call import DeadlineStream, UpstreamCall, current_call
from completions_mw.backends.http.failures import FAILURES, gateway_error, without_message
from completions_mw.backends.http.messages import Body, PoolOptions, answer, tls_context, translate
from completions_mw.backends.ownership import PerLoop
from completions_mw.http import UpstreamRequest, UpstreamResponse


class AsyncTransport:
    """The `Transport` port over anyio, for asyncio. Each event loop has its own connection pool.

    Args:
        max_connections: connections to all upstreams together.
        keep_alive: seconds of silence after which an unused connection is closed.
        tick: seconds of silence in an answer after which its body yields an empty piece; 0: never.
    """

    def __init__(self, max_connections: int = 100, keep_alive: float = 5.0, tick: float = 15.0) -> None:
        options: PoolOptions = {"max_connections": max_connections, "keepalive_expiry": keep_alive}
        self._tick = tick
        self._pools = PerLoop(lambda: httpcore2.AsyncConnectionPool(tls_context(), network_backend=AsyncBackend(), **options))

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        call = UpstreamCall(request)
        token = current_call.set(call)
        try:
            response = await self._pools.get().handle_async_request(translate(request))
        except FAILURES as error:
            raise gateway_error(error) from without_message(error)
        finally:
            current_call.reset(token)
        stream: AsyncStream = response.extensions["network_stream"]
        return await answer(response, Body(AsyncChunkSource(response), call, stream, self._tick), call)

    async def aclose(self) -> None:
        pool = self._pools.pop()
        if pool is not None:
            await pool.aclose()


class AsyncStream(DeadlineStream, httpcore2.AsyncNetworkStream):
    """The network stream that httpcore2's async pool reads and writes, over an anyio stream.

    Args:
        stream: the connection.
    """

    def __init__(self, stream: anyio.abc.ByteStream) -> None:
        super().__init__()
        self._stream = stream
        self._socket = stream.extra(anyio.abc.SocketAttribute.raw_socket)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    async def receive(self, max_bytes: int, timeout: float) -> bytes:
        with CancelScope(deadline=current_time() + timeout):
            try:
                return await self._stream.receive(max_bytes)
            except EndOfStream:
                return b""
            except (BrokenResourceError, ClosedResourceError, ssl.SSLError) as error:
                raise httpcore2.ReadError from error
        raise httpcore2.ReadTimeout

    async def send(self, buffer: bytes, timeout: float) -> None:
        with CancelScope(deadline=current_time() + timeout):
            try:
                return await self._stream.send(buffer)
            except (BrokenResourceError, ClosedResourceError, ssl.SSLError) as error:
                raise httpcore2.WriteError from error
        raise httpcore2.WriteTimeout

    async def aclose(self) -> None:
        # Without suspending: asyncio's own cancellation passes through anyio's shields, and a pool that is interrupted here keeps the
        # connection.
        for _ in self._stream.aclose().__await__():
            pass

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        try:
            with anyio.fail_after(timeout):
                wrapped = TLSStream.wrap(self._stream, ssl_context=ssl_context, hostname=server_hostname, standard_compatible=False)
                return AsyncStream(await wrapped)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout from error
        except (ssl.SSLError, BrokenResourceError, EndOfStream) as error:
            raise httpcore2.ConnectError from error

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            # The pool asks this of every idle connection for every request. The descriptor of a closed socket may be another file's by now.
            return self._socket.fileno() < 0 or bool(self._poll.poll(0))
        return self._stream.extra(TLSAttribute.ssl_object, None) if info == "ssl_object" else None


class AsyncBackend(httpcore2.AsyncNetworkBackend):
    """Opens connections for httpcore2's async pool."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            with anyio.fail_after(timeout):
                return AsyncStream(await anyio.connect_tcp(host, port))
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout from error
        except OSError as error:
            raise httpcore2.ConnectError from error


class AsyncChunkSource:
    """The `ChunkSource` of a response of httpcore2's async pool.

    Args:
        response: the response, of which nothing was read but its head.
    """

    __slots__ = ("_iterator", "_response", "next_chunk")

    def __init__(self, response: httpcore2.Response) -> None:
        self._response = response
        self._iterator = cast("AsyncGenerator[bytes]", cast("AsyncIterable[bytes]", response.stream).__aiter__())
        self.next_chunk: Callable[[], Awaitable[bytes]] = self._iterator.__anext__

    async def aclose(self, *, ended: bool) -> None:
        if ended:
            return await self._response.aclose()
        with CancelScope(shield=True):
            await self._iterator.aclose()
            await self._response.aclose()
