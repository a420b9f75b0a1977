"""Deadlines, bounds and silence on the connections to upstreams.

httpcore2 puts one timeout on each single read. A call needs more: a deadline for the whole head, one for silence, one for everything;
a bound on the head's bytes; a way to wait for data that can be given up without losing the connection; and, where the server shows the
client's socket, an eye on the client. All of it fits around the network stream, which is httpcore2's public seam.
"""

import asyncio
import re
import select
import ssl
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any, Protocol

import anyio
import httpcore2

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.core.blocking import run
from completions_mw.errors import ClientDisconnectedError
from completions_mw.http import ClientConnection, UpstreamRequest

READ_BYTES = 64 * 1024
MAX_HEAD_BYTES = 64 * 1024
"""For the head with all informational responses before it, so that a flood of `100 Continue` ends."""

_NOTHING_WHOLE = re.compile(rb"(?:\r\n|\r)?(?:[0-9A-Fa-f]+(?:\r\n|\r)?)?")
"""What may follow a piece in a chunked body without holding another piece: the chunk's end, the next chunk's size."""


class Call:
    """The state of one call to an upstream, followed by the connection that serves it."""

    __slots__ = ("batch", "connection", "deadline", "has_length", "head_bytes", "in_head", "offset", "read_by", "timeouts")

    def __init__(self, request: UpstreamRequest) -> None:
        self.timeouts = request.timeouts
        self.connection = request.connection
        self.deadline = SYSTEM_CLOCK.monotonic() + self.timeouts.total
        self.read_by = self.deadline
        self.in_head = True
        self.has_length = False
        self.head_bytes = 0
        self.batch = b""
        self.offset = 0

    def sent(self) -> None:
        """Note that a part of the request has left."""
        self.read_by = SYSTEM_CLOCK.monotonic() + self.timeouts.first_byte

    def received(self, data: bytes) -> None:
        """Note what the network gave."""
        self.batch, self.offset = data, 0
        if not self.in_head:
            self.read_by = SYSTEM_CLOCK.monotonic() + self.timeouts.between_events
            return
        self.head_bytes += len(data)
        if self.head_bytes > MAX_HEAD_BYTES:
            raise httpcore2.RemoteProtocolError("the head of the answer is too large")

    def head_ended(self, *, has_length: bool) -> None:
        """Note that the head is complete; what follows it in the same batch is body."""
        self.in_head = False
        self.has_length = has_length
        self.offset = self.batch.find(b"\r\n\r\n") + 4
        self.read_by = SYSTEM_CLOCK.monotonic() + self.timeouts.between_events

    def took(self, piece: bytes) -> None:
        """Note that the parser gave `piece` of the batch."""
        at = self.batch.find(piece, self.offset)
        self.offset = at + len(piece) if at >= 0 else 0

    def drained(self) -> bool:
        """Tell whether the parser surely holds no further piece, so that the next one must come from the network.

        Never of a body with a length: its end needs no further byte, so waiting for one would be waiting in vain.
        """
        return not self.has_length and _NOTHING_WHOLE.fullmatch(self.batch, self.offset) is not None

    def time_left(self) -> float:
        """Return the seconds until the nearest deadline.

        Raises:
            httpcore2.ReadTimeout: it has passed.
        """
        left = min(self.read_by, self.deadline) - SYSTEM_CLOCK.monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout
        return left


current_call: ContextVar[Call] = ContextVar("current_call")


class Line(Protocol):
    """A connection's bytes, as `AsyncNetworkStream` gives them."""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes: ...
    async def write(self, buffer: bytes, timeout: float | None = None) -> None: ...


class Channel:
    """Reads and writes for the call that the connection serves at the moment."""

    __slots__ = ("_ahead", "_call", "_line")

    def __init__(self, line: Line) -> None:
        self._line = line
        self._ahead: bytes | None = None

    async def write(self, buffer: bytes, timeout: float | None) -> None:
        self._call = current_call.get()
        await self._line.write(buffer, timeout)
        self._call.sent()

    async def read(self, max_bytes: int) -> bytes:
        data, self._ahead = self._ahead, None
        if data is None:
            data = await self._line.read(max_bytes, self._call.time_left())
        self._call.received(data)
        return data

    async def wait(self, seconds: float) -> bool:
        """Wait until there is something to read; False if nothing came for `seconds`. Loses nothing."""
        if self._ahead is not None:
            return True
        left = self._call.time_left()
        try:
            self._ahead = await self._line.read(READ_BYTES, min(seconds, left))
        except httpcore2.ReadTimeout:
            if left <= seconds:
                raise
            return False
        return True


class BlockingLine:
    """A blocking stream under the names of an async one; a read also ends when the client leaves."""

    __slots__ = ("_call", "_stream")

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._call = current_call.get()
        self._stream.write(buffer, timeout)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._call.connection is not None:
            wait_readable(self._stream.get_extra_info("socket"), self._call.connection, timeout)
        return self._stream.read(max_bytes, timeout)


def wait_readable(sock: Any, client: ClientConnection, timeout: float | None) -> None:
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
    while True:
        ready = {descriptor for descriptor, _ in poll.poll(None if timeout is None else timeout * 1000)}
        if client.fileno() in ready and client.is_gone():
            raise ClientDisconnectedError
        if sock.fileno() in ready:
            return
        if not ready:
            raise httpcore2.ReadTimeout
        # The client sent its next request ahead: readable for good, and not gone.
        poll.unregister(client)


class BlockingStream(httpcore2.NetworkStream):
    """A network stream of the blocking pool."""

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream
        self.channel = Channel(BlockingLine(stream))

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return run(self.channel.read(max_bytes))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        run(self.channel.write(buffer, timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return BlockingStream(self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class BlockingBackend(httpcore2.SyncBackend):
    """Opens connections for the blocking pool."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        return BlockingStream(super().connect_tcp(host, port, timeout, local_address, socket_options))


class AsyncStream(httpcore2.AsyncNetworkStream):
    """A network stream of the async pool."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream
        self.channel = Channel(stream)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self.channel.read(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self.channel.write(buffer, timeout)

    async def aclose(self) -> None:
        closing = self._stream.aclose()
        if anyio.get_cancelled_exc_class() is not asyncio.CancelledError:
            return await closing
        # In one go: asyncio's own cancellation passes through anyio's shields, and a pool that is interrupted here keeps the request.
        for _ in closing.__await__():
            pass

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        return AsyncStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class AsyncBackend(httpcore2.AnyIOBackend):
    """Opens connections for the async pool."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        return AsyncStream(await super().connect_tcp(host, port, timeout, local_address, socket_options))
