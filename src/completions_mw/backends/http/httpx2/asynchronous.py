"""The transport over httpx2's engine for event loops: a task serves each call of a connection."""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any, Self, TypeVar, cast

import httpcore2

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.http.async_connection import MAX_BUFFERED, AsyncHttpConnection
from completions_mw.backends.http.asynchronous import AsyncTransport
from completions_mw.backends.http.blocking_connection import READ_BYTES
from completions_mw.backends.http.call import UpstreamCall
from completions_mw.backends.http.call_connection import CallConnection
from completions_mw.backends.http.failures import connect_timed_out
from completions_mw.backends.http.httpx2.engine import Network, connect_failure, engine_options, engine_request, head_of, is_sent
from completions_mw.backends.http.request_head import Origin
from completions_mw.http import ClientConnection

T = TypeVar("T")


class AsyncHttpx2Transport(AsyncTransport):
    """The `Transport` port over httpx2's engine, for event loops, through the HTTP proxy with the URL `proxy`, if any."""

    def __init__(self, *pool: Any, proxy: str | None = None) -> None:
        self._proxy = proxy
        super().__init__(*pool)

    async def _open(self, origin: Origin, seconds: float, deadline: float) -> CallConnection:
        return AsyncHttpx2Connection(self._connect, origin, seconds, self._proxy)


class AsyncNetwork(Network, httpcore2.AsyncNetworkBackend, httpcore2.AsyncNetworkStream):
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
        self._network = AsyncNetwork(connect)
        self._engine = httpcore2.AsyncConnectionPool(network_backend=self._network, **engine_options(proxy))
        self._room = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def is_usable(self) -> bool:
        return not self._is_lost

    async def send(self, call: UpstreamCall, head: bytes, body: bytes) -> None:
        self._call = call
        self._sending: asyncio.Future[Exception | None] = self._loop.create_future()
        self._task = self._loop.create_task(self._serve(engine_request(self._origin, head, body, self._trace)))
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
        if is_sent(event, info) and self._call is not None and not self._sending.done():
            # At once: whoever awaits it may come after the answer.
            self._call.sent(SYSTEM_CLOCK.monotonic())
            self._sending.set_result(None)

    async def _serve(self, request: httpcore2.Request) -> None:
        """Serve one call, in a task of its own."""
        try:
            response = await self._engine.handle_async_request(request)
            await self._give(head_of(response))
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
                self._sending.set_result(connect_failure(error))
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
