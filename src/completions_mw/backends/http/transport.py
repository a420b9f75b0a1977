"""The `Transport` port over httpcore2, the engine of httpx2, blocking and async.

httpcore2 is used without httpx2's client: redirects, cookies, proxies, decompression and environment variables do not exist at its level.
The logic is written once, as `async def`; the blocking transport runs it over inline I/O (see `completions_mw.blocking`).
"""

import logging
import ssl
from functools import lru_cache
from threading import Lock
from typing import Final, TypedDict, cast

import httpcore2
import httpx2

from completions_mw.backends.http.asynchronous import AsyncBackend, AsyncChunkSource, AsyncStream
from completions_mw.backends.http.blocking import BlockingBackend, BlockingChunkSource, BlockingStream
from completions_mw.backends.http.body import Body
from completions_mw.backends.http.call import UpstreamCall, current_call
from completions_mw.backends.http.failures import FAILURES, gateway_error, without_message
from completions_mw.backends.ownership import PerLoop, PerProcess
from completions_mw.errors import UpstreamError
from completions_mw.http import UpstreamRequest, UpstreamResponse

STATUSES_WITHOUT_BODY: Final = (204, 304)
"""Statuses of answers that end with their head (RFC 9112, section 6.3)."""


def _name_only(record: logging.LogRecord) -> bool:
    """Cut a log record down to the name of its event: at DEBUG httpcore2 logs the heads of answers, and quotes what is not HTTP."""
    record.msg = record.msg.partition(" ")[0]
    return True


logging.getLogger("httpcore2.http11").addFilter(_name_only)


class _PoolOptions(TypedDict):
    max_connections: int
    keepalive_expiry: float


class BlockingTransport(PerProcess):
    """The `Transport` port over blocking sockets, for threads and greenlets. Each process has its own connection pool.

    Args:
        max_connections: connections to all upstreams together.
        keep_alive: seconds of silence after which an unused connection is closed.
        tick: seconds of silence in an answer after which its body yields an empty piece; 0: never.
    """

    def __init__(self, max_connections: int = 100, keep_alive: float = 5.0, tick: float = 15.0) -> None:
        self._options: _PoolOptions = {"max_connections": max_connections, "keepalive_expiry": keep_alive}
        self._tick = tick
        super().__init__()

    def reset(self) -> None:
        self._lock = Lock()
        self._opened: httpcore2.ConnectionPool | None = None

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        call = UpstreamCall(request)
        token = current_call.set(call)
        try:
            response = self._pool().handle_request(_translate(request))
        except FAILURES as error:
            raise gateway_error(error) from without_message(error)
        finally:
            current_call.reset(token)
        stream = cast("BlockingStream", response.extensions["network_stream"]).deadline_stream
        return await _answer(response, Body(BlockingChunkSource(response), call, stream, self._tick), call)

    async def aclose(self) -> None:
        with self._lock:
            pool, self._opened = self._opened, None
        if pool is not None:
            pool.close()

    def _pool(self) -> httpcore2.ConnectionPool:
        if (pool := self._opened) is None:
            with self._lock:
                if (pool := self._opened) is None:
                    pool = httpcore2.ConnectionPool(_tls_context(), network_backend=BlockingBackend(), **self._options)
                    self._opened = pool
        return pool


class AsyncTransport:
    """The `Transport` port over anyio, for asyncio. Each event loop has its own connection pool.

    Args:
        max_connections: connections to all upstreams together.
        keep_alive: seconds of silence after which an unused connection is closed.
        tick: seconds of silence in an answer after which its body yields an empty piece; 0: never.
    """

    def __init__(self, max_connections: int = 100, keep_alive: float = 5.0, tick: float = 15.0) -> None:
        options: _PoolOptions = {"max_connections": max_connections, "keepalive_expiry": keep_alive}
        self._tick = tick
        self._pools = PerLoop(lambda: httpcore2.AsyncConnectionPool(_tls_context(), network_backend=AsyncBackend(), **options))

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        call = UpstreamCall(request)
        token = current_call.set(call)
        try:
            response = await self._pools.get().handle_async_request(_translate(request))
        except FAILURES as error:
            raise gateway_error(error) from without_message(error)
        finally:
            current_call.reset(token)
        stream = cast("AsyncStream", response.extensions["network_stream"])
        return await _answer(response, Body(AsyncChunkSource(response), call, stream, self._tick), call)

    async def aclose(self) -> None:
        pool = self._pools.pop()
        if pool is not None:
            await pool.aclose()


async def _answer(response: httpcore2.Response, body: Body, call: UpstreamCall) -> UpstreamResponse:
    try:
        headers = tuple([(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.headers])
        names = dict(headers)
        call.head_ended(has_length="content-length" in names or response.status in STATUSES_WITHOUT_BODY)
        if names.get("content-encoding", "identity") != "identity":
            # The request asked for none. Decoding could turn 200 KB into 200 MiB.
            raise UpstreamError("The upstream provider sent an encoded answer.", code="upstream_protocol_error")
    except BaseException:
        await body.aclose()
        raise
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
