"""Requests and answers of upstreams: the part of both transports that does not depend on the kind of sockets."""

import logging
import ssl
from collections.abc import Awaitable
from functools import lru_cache
from typing import Final, Protocol, TypedDict

import httpcore2
import httpx2

from completions_mw.backends.http.call import DeadlineStream, UpstreamCall
from completions_mw.backends.http.failures import FAILURES, gateway_error, without_message
from completions_mw.errors import UpstreamError
from completions_mw.http import UpstreamRequest, UpstreamResponse

DRAIN_SECONDS: Final = 0.1
"""Seconds that a complete answer may take to end its body before its connection is closed instead of reused."""
STATUSES_WITHOUT_BODY: Final = (204, 304)
"""Statuses of answers that end with their head (RFC 9112, section 6.3)."""


def _name_only(record: logging.LogRecord) -> bool:
    """Cut a log record down to the name of its event: at DEBUG httpcore2 logs the heads of answers, and quotes what is not HTTP."""
    record.msg = record.msg.partition(" ")[0]
    return True


logging.getLogger("httpcore2.http11").addFilter(_name_only)


class PoolOptions(TypedDict):
    """Options of a connection pool of httpcore2."""

    max_connections: int
    keepalive_expiry: float


@lru_cache(maxsize=1)
def tls_context() -> ssl.SSLContext:
    """Return the TLS settings of all connections: certificates are verified, and environment variables are ignored."""
    return httpx2.create_ssl_context(trust_env=False)


def translate(request: UpstreamRequest) -> httpcore2.Request:
    """Return the request as httpcore2 takes it."""
    url, host = _parse_url(request.url)
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
def _parse_url(url: str) -> tuple[httpcore2.URL, bytes]:
    parsed = httpx2.URL(url)
    return httpcore2.URL(scheme=parsed.raw_scheme, host=parsed.raw_host, port=parsed.port, target=parsed.raw_path), parsed.netloc


class ChunkSource(Protocol):
    """A response body of httpcore2, chunk by chunk."""

    def next_chunk(self) -> Awaitable[bytes]:
        """Read the next chunk.

        Raises:
            StopAsyncIteration: the body has ended.
        """
        ...

    async def aclose(self, *, ended: bool) -> None:
        """Give the connection back to its pool, or close it.

        Args:
            ended: whether the body was read to its end, so that nothing is left to close.
        """
        ...


class Body:
    """The `UpstreamBody` of both transports.

    Args:
        source: the body as httpcore2 gives it.
        call: the call that is answered: how far the answer has been read.
        stream: the connection, to wait on.
        tick: seconds of silence after which an empty piece is given; 0: never.
    """

    __slots__ = ("_call", "_closed", "_failure", "_source", "_stream", "_tick")

    def __init__(self, source: ChunkSource, call: UpstreamCall, stream: DeadlineStream, tick: float) -> None:
        self._source = source
        self._call = call
        self._stream = stream
        self._tick = tick
        self._closed = False
        self._failure: Exception | None = None

    async def __anext__(self) -> bytes:
        if self._closed:
            raise StopAsyncIteration
        try:
            if self._failure is not None:
                raise self._failure
            if self._tick and self._call.is_drained() and not await self._stream.wait(self._tick):
                return b""
            chunk = await self._source.next_chunk()
            return await self._with_rest_of_batch(chunk) if self._call.consumed(chunk) else chunk
        except StopAsyncIteration:
            await self._close(ended=True)
            raise
        except FAILURES as error:
            await self.aclose()
            raise gateway_error(error, in_body=True) from without_message(error)
        except BaseException:
            await self.aclose()
            raise

    async def _with_rest_of_batch(self, first: bytes) -> bytes:
        """Return `first` joined with all chunks of the same batch: one piece costs less than many, and these come without a wait."""
        chunks, more = [first], True
        try:
            while more:
                chunk = await self._source.next_chunk()
                more = self._call.consumed(chunk)
                chunks.append(chunk)
        except FAILURES as error:
            self._failure = error
        return b"".join(chunks)

    async def finish(self) -> None:
        # The client has the whole answer, and may leave while the rest of the body is awaited.
        self._call.connection = None
        ended = False
        try:
            if not self._closed and (not self._call.is_drained() or await self._stream.wait(DRAIN_SECONDS)):
                await self._source.next_chunk()
        except StopAsyncIteration:
            ended = True
        except FAILURES:
            pass
        finally:
            await self._close(ended=ended)

    async def aclose(self) -> None:
        await self._close(ended=False)

    async def _close(self, *, ended: bool) -> None:
        if not self._closed:
            self._closed = True
            await self._source.aclose(ended=ended)


async def answer(response: httpcore2.Response, body: Body, call: UpstreamCall) -> UpstreamResponse:
    """Return the answer to a call, once its head has arrived.

    Raises:
        UpstreamError: the body is encoded; it is closed.
    """
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
