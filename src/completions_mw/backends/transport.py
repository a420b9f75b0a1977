"""HTTP to upstreams: httpcore2, the engine of httpx2, blocking and async.

The engine is used without the client above it: redirects, cookies, proxies, decompression and environment variables do not exist at
this level. The logic is written once, as `async def`; the blocking kind runs it over inline I/O (see `core/blocking.py`).
"""

import logging
import os
import ssl
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Generator, Iterable
from functools import lru_cache
from typing import Protocol, cast

import anyio
import httpcore2
import httpx2
from anyio.lowlevel import RunVar

from completions_mw.backends.channel import AsyncBackend, AsyncStream, BlockingBackend, BlockingStream, Call, Channel, current_call
from completions_mw.errors import GatewayError, ServiceUnavailableError, UpstreamError, UpstreamTimeoutError
from completions_mw.http import UpstreamRequest, UpstreamResponse

WITHOUT_BODY = (204, 304)
"""Statuses whose answers end with the head (RFC 9112, section 6.3)."""
DRAIN_SECONDS = 0.1
"""How long a complete answer may take to end its body before its connection is closed instead of reused."""

_FAILURES = (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException)


def _name_only(record: logging.LogRecord) -> bool:
    """Keep the event and drop what it is about: at DEBUG the engine writes the heads of answers, and quotes what is not HTTP."""
    record.msg = record.msg.partition(" ")[0]
    return True


logging.getLogger("httpcore2.http11").addFilter(_name_only)


class BlockingTransport:
    """The `Transport` port over blocking sockets, for threads and greenlets. One pool a process.

    Args:
        max_connections: connections to all upstreams together.
        keep_alive: seconds of silence after which an unused connection is closed.
        tick: seconds of silence in an answer after which its body yields an empty piece; 0: never.
    """

    def __init__(self, max_connections: int = 100, keep_alive: float = 5.0, tick: float = 15.0) -> None:
        self._max_connections = max_connections
        self._keep_alive = keep_alive
        self._tick = tick
        self._pools: dict[int, httpcore2.ConnectionPool] = {}

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        call = Call(request)
        token = current_call.set(call)
        try:
            response = self._pool().handle_request(_translate(request))
        except _FAILURES as error:
            raise _failure(error) from _wordless(error)
        finally:
            current_call.reset(token)
        channel = cast("BlockingStream", response.extensions["network_stream"]).channel
        return await _answer(response, _Body(_BlockingPieces(response), call, channel, self._tick), call)

    async def aclose(self) -> None:
        pool = self._pools.pop(os.getpid(), None)
        if pool is not None:
            pool.close()

    def _pool(self) -> httpcore2.ConnectionPool:
        pool = self._pools.get(os.getpid())
        if pool is None:
            fresh = httpcore2.ConnectionPool(
                _tls_context(),
                max_connections=self._max_connections,
                keepalive_expiry=self._keep_alive,
                network_backend=BlockingBackend(),
            )
            pool = self._pools.setdefault(os.getpid(), fresh)
        return pool


class AsyncTransport:
    """The `Transport` port over anyio, for asyncio and trio. One pool an event loop.

    Args:
        max_connections: connections to all upstreams together.
        keep_alive: seconds of silence after which an unused connection is closed.
        tick: seconds of silence in an answer after which its body yields an empty piece; 0: never.
    """

    def __init__(self, max_connections: int = 100, keep_alive: float = 5.0, tick: float = 15.0) -> None:
        self._max_connections = max_connections
        self._keep_alive = keep_alive
        self._tick = tick
        self._pools: RunVar[httpcore2.AsyncConnectionPool | None] = RunVar(f"completions_mw-pool-{id(self)}", None)

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        call = Call(request)
        token = current_call.set(call)
        try:
            response = await self._pool().handle_async_request(_translate(request))
        except _FAILURES as error:
            raise _failure(error) from _wordless(error)
        finally:
            current_call.reset(token)
        channel = cast("AsyncStream", response.extensions["network_stream"]).channel
        return await _answer(response, _Body(_AsyncPieces(response), call, channel, self._tick), call)

    async def aclose(self) -> None:
        pool = self._pools.get()
        if pool is not None:
            self._pools.set(None)
            await pool.aclose()

    def _pool(self) -> httpcore2.AsyncConnectionPool:
        pool = self._pools.get()
        if pool is None:
            pool = httpcore2.AsyncConnectionPool(
                _tls_context(),
                max_connections=self._max_connections,
                keepalive_expiry=self._keep_alive,
                network_backend=AsyncBackend(),
            )
            self._pools.set(pool)
        return pool


class _Pieces(Protocol):
    """A body as httpcore2 gives it, to be closed at any time."""

    def __anext__(self) -> Awaitable[bytes]: ...

    async def aclose(self) -> None: ...


class _AsyncPieces:
    __slots__ = ("_iterator", "_response")

    def __init__(self, response: httpcore2.Response) -> None:
        self._response = response
        self._iterator = _pieces_of(response)

    def __anext__(self) -> Awaitable[bytes]:
        return self._iterator.__anext__()

    async def aclose(self) -> None:
        with anyio.CancelScope(shield=True):
            await self._iterator.aclose()
            await self._response.aclose()


async def _pieces_of(response: httpcore2.Response) -> AsyncGenerator[bytes]:
    """A generator, because the event loop ends those that were forgotten: a direct caller may leave its `async for` without a word."""
    pieces = cast("AsyncGenerator[bytes]", cast("AsyncIterable[bytes]", response.stream).__aiter__())
    try:
        async for piece in pieces:
            yield piece
    finally:
        with anyio.CancelScope(shield=True):
            await pieces.aclose()
            await response.aclose()


class _BlockingPieces:
    __slots__ = ("_iterator", "_response")

    def __init__(self, response: httpcore2.Response) -> None:
        self._response = response
        self._iterator = cast("Generator[bytes]", iter(cast("Iterable[bytes]", response.stream)))

    async def __anext__(self) -> bytes:
        try:
            return next(self._iterator)
        except StopIteration:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        self._iterator.close()
        self._response.close()


class _Body:
    """The `UpstreamBody` of both transports."""

    __slots__ = ("_call", "_channel", "_closed", "_pieces", "_tick")

    def __init__(self, pieces: _Pieces, call: Call, channel: Channel, tick: float) -> None:
        self._pieces = pieces
        self._call = call
        self._channel = channel
        self._tick = tick
        self._closed = False

    async def __anext__(self) -> bytes:
        if self._closed:
            raise StopAsyncIteration
        try:
            if self._tick and self._call.drained() and not await self._channel.wait(self._tick):
                return b""
            piece = await self._pieces.__anext__()
        except _FAILURES as error:
            await self.aclose()
            raise _failure(error, in_body=True) from _wordless(error)
        except BaseException:
            await self.aclose()
            raise
        self._call.took(piece)
        return piece

    async def finish(self) -> None:
        # The client has everything, and may leave while the upstream is tidied up.
        self._call.connection = None
        try:
            if not self._closed and (not self._call.drained() or await self._channel.wait(DRAIN_SECONDS)):
                await self._pieces.__anext__()
        except (StopAsyncIteration, *_FAILURES):
            pass
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            await self._pieces.aclose()


async def _answer(response: httpcore2.Response, body: _Body, call: Call) -> UpstreamResponse:
    try:
        return _checked(response, body, call)
    except BaseException:
        await body.aclose()
        raise


def _checked(response: httpcore2.Response, body: _Body, call: Call) -> UpstreamResponse:
    headers = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.headers)
    names = dict(headers)
    call.head_ended(has_length="content-length" in names or response.status in WITHOUT_BODY)
    if names.get("content-encoding", "identity") != "identity":
        # It was asked not to; decoding could turn 200 KB into 200 MiB (FAULTS FC-58).
        raise UpstreamError("The upstream provider sent an encoded answer.", code="upstream_protocol_error")
    return UpstreamResponse(response.status, headers, body)


def _translate(request: UpstreamRequest) -> httpcore2.Request:
    url, host = _parsed(request.url)
    timeouts = request.timeouts
    return httpcore2.Request(
        "POST",
        url,
        headers=[
            (b"host", host),
            (b"accept-encoding", b"identity"),
            (b"content-length", b"%d" % len(request.body)),
            *((name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers),
        ],
        content=request.body,
        extensions={"timeout": {"connect": timeouts.connect, "pool": timeouts.connect, "write": timeouts.first_byte}},
    )


@lru_cache(maxsize=256)
def _parsed(url: str) -> tuple[httpcore2.URL, bytes]:
    parsed = httpx2.URL(url)
    return httpcore2.URL(scheme=parsed.raw_scheme, host=parsed.raw_host, port=parsed.port, target=parsed.raw_path), parsed.netloc


@lru_cache(maxsize=1)
def _tls_context() -> ssl.SSLContext:
    return httpx2.create_ssl_context(trust_env=False)


def _failure(error: Exception, *, in_body: bool = False) -> GatewayError:
    if isinstance(error, httpcore2.PoolTimeout):
        wait = (("retry-after", "1"),)
        return ServiceUnavailableError("Too many requests are under way. Please try again.", code="overloaded", headers=wait)
    if isinstance(error, httpcore2.TimeoutException):
        timeout = UpstreamTimeoutError("The upstream provider did not answer in time.")
        timeout.next_target = isinstance(error, httpcore2.ConnectTimeout)
        return timeout
    if isinstance(error, httpcore2.ConnectError):
        return UpstreamError("The upstream provider could not be reached.", code="upstream_unreachable")
    if in_body or isinstance(error, httpcore2.NetworkError):
        return UpstreamError("The upstream provider closed the connection before its answer was complete.", code="upstream_disconnected")
    return UpstreamError("The upstream provider did not answer in valid HTTP.", code="upstream_protocol_error")


def _wordless(error: Exception) -> Exception:
    """Return the cause of a failure as tracebacks may show it: what is not HTTP is quoted in its text, whatever it is."""
    return type(error)() if isinstance(error, httpcore2.ProtocolError) else error
