"""Both transports on threads and on event loops: what a test asks is asked of each."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import pytest
import uvloop

from completions_mw.backends.http import AsyncTransport, BlockingTransport
from completions_mw.backends.http.httpx2.asynchronous import AsyncHttpx2Transport
from completions_mw.backends.http.httpx2.blocking import BlockingHttpx2Transport
from completions_mw.blocking import run_sync
from completions_mw.core.ports import Transport
from completions_mw.http import Timeouts, UpstreamRequest, UpstreamResponse

T = TypeVar("T")
Work = Callable[[Transport], Awaitable[T]]
PATIENCE: Final = Timeouts(20.0, 20.0, 20.0, 60.0)
"""For what a machine that has much to do may be late with."""


class Side:
    """How a test calls a transport: on a thread, or on an event loop."""

    def __init__(self, transport: type[Transport], run: Callable[[Any], Any]) -> None:
        self._transport = transport
        self._run = run

    def __call__(self, work: Work[T], **options: Any) -> T:
        """Return what `work` does with a new transport."""

        async def whole() -> T:
            transport = self._transport(**options)
            try:
                return await work(transport)
            finally:
                await transport.aclose()

        result: T = self._run(whole())
        return result


def on_uvloop(work: Any) -> Any:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


THREADS: Final = Side(BlockingTransport, run_sync)
LOOPS: Final = {"asyncio": Side(AsyncTransport, asyncio.run), "uvloop": Side(AsyncTransport, on_uvloop)}
HTTPX2: Final = {
    "httpx2-blocking": Side(BlockingHttpx2Transport, run_sync),
    "httpx2-asyncio": Side(AsyncHttpx2Transport, asyncio.run),
    "httpx2-uvloop": Side(AsyncHttpx2Transport, on_uvloop),
}
SIDES: Final = {"blocking": THREADS, **LOOPS, **HTTPX2}
every_side = pytest.mark.parametrize("on", SIDES.values(), ids=SIDES)
every_httpx2 = pytest.mark.parametrize("on", HTTPX2.values(), ids=HTTPX2)


async def read(response: UpstreamResponse) -> bytes:
    """Return the body of an answer."""
    pieces = []
    try:
        while True:
            pieces.append(await response.body.__anext__())
    except StopAsyncIteration:
        return b"".join(pieces)


async def ask(transport: Transport, url: str, body: bytes = b"{}", timeouts: Timeouts = PATIENCE) -> bytes:
    """Return what an upstream answers."""
    return await read(await transport.send(UpstreamRequest(url, (), body, timeouts)))


def asking(url: str, *, body: bytes = b"{}", times: int = 1) -> Work[list[bytes]]:
    """Return work that asks an upstream, so many times one after another."""

    async def work(transport: Transport) -> list[bytes]:
        return [await ask(transport, url, body) for _ in range(times)]

    return work
