"""At whatever await point or read a request ends, its connection is free and nothing is left (docs/promises.md, Clients that leave)."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from completions_mw import AsyncGateway, Gateway, Settings
from completions_mw.backends.http import AsyncTransport, BlockingTransport, connecting
from completions_mw.backends.http.connecting import connect_first
from completions_mw.backends.http.httpx2.asynchronous import AsyncHttpx2Transport
from completions_mw.backends.http.httpx2.blocking import BlockingHttpx2Transport
from completions_mw.blocking import BlockingIterator, run_sync
from tests.faults.conftest import consume, request, settings_for
from tests.support.logs import line
from tests.support.stepping import CancelAt
from tests.support.upstream import MockUpstream

on_loops = pytest.mark.parametrize("transport_class", [AsyncTransport, AsyncHttpx2Transport], ids=["httptools", "httpx2"])
on_threads = pytest.mark.parametrize("transport_class", [BlockingTransport, BlockingHttpx2Transport], ids=["httptools", "httpx2"])
MESSAGES = [{"role": "user", "content": "one two three"}]


@pytest.fixture
def settings(upstream: MockUpstream) -> Settings:
    return settings_for(upstream)


def check_nothing_left(pools: Mapping[Any, object]) -> None:
    assert all("0 active" in repr(pool) and "0 waiting" in repr(pool) for pool in pools.values()), pools


async def stream_directly(gateway: AsyncGateway) -> int:
    async with gateway.stream(model="ok", messages=MESSAGES) as chunks:
        return sum([1 async for _ in chunks])


async def complete_directly(gateway: AsyncGateway) -> str:
    return (await gateway.complete(model="ok", messages=MESSAGES)).id


@asynccontextmanager
async def one_connection(settings: Settings, transport_class: type[AsyncTransport]) -> AsyncIterator[tuple[AsyncGateway, AsyncTransport]]:
    transport = transport_class(1, 3.0, 4.0, 0.1)
    yield AsyncGateway(settings, transport=transport), transport
    await transport.aclose()


async def cancel_everywhere(
    settings: Settings,
    transport_class: type[AsyncTransport],
    work: Callable[[AsyncGateway], Coroutine[Any, Any, object]],
    *,
    reused: bool,
    insist: bool,
) -> int:
    """Cancel `work` at its first await point, then at its second, and so on; return how many it has.

    Another request waits for the only connection meanwhile: it gets it, wherever the first one was.
    """
    step, reached = 0, True
    while reached:
        step += 1
        async with one_connection(settings, transport_class) as (gateway, transport):
            if reused:
                await consume(gateway, "ok", stream=False)
            victim = CancelAt(work(gateway), step, insist=insist)
            first = asyncio.create_task(victim.run())
            waiting = asyncio.create_task(consume(gateway, "ok", stream=False))
            await asyncio.wait([first])
            assert await waiting == 200
            check_nothing_left(transport._pools.get())
            reached = victim.reached
            assert first.cancelled() or not reached or first.exception() is None
    return step - 1


@on_loops
@pytest.mark.parametrize("insist", [False, True], ids=["once", "again-and-again"])
@pytest.mark.parametrize("reused", [False, True], ids=["new-connection", "reused-connection"])
@pytest.mark.parametrize(
    ("model", "stream"),
    [("ok", False), ("html", False), ("bomb", False), ("status-500", False)]
    + [(model, True) for model in ("ok", "hang", "stall", "trunc", "cut", "errorevent", "hugeline")],
)
def test_cancelled_at_every_await_point(
    upstream: MockUpstream,
    settings: Settings,
    transport_class: type[AsyncTransport],
    model: str,
    stream: bool,
    reused: bool,
    insist: bool,
) -> None:
    def work(gateway: AsyncGateway) -> Coroutine[Any, Any, object]:
        return consume(gateway, model, stream=stream)

    assert asyncio.run(cancel_everywhere(settings, transport_class, work, reused=reused, insist=insist)) >= (
        1 if reused or transport_class is AsyncHttpx2Transport else 2
    )
    upstream.wait_for(lambda: upstream.active_requests == 0)


@on_loops
@pytest.mark.parametrize("insist", [False, True], ids=["once", "again-and-again"])
@pytest.mark.parametrize("work", [stream_directly, complete_directly])
def test_direct_calls_cancelled_at_every_await_point(
    upstream: MockUpstream,
    settings: Settings,
    transport_class: type[AsyncTransport],
    work: Callable[[AsyncGateway], Coroutine[Any, Any, object]],
    insist: bool,
) -> None:
    assert asyncio.run(cancel_everywhere(settings, transport_class, work, reused=False, insist=insist)) >= (
        1 if transport_class is AsyncHttpx2Transport else 3
    )
    upstream.wait_for(lambda: upstream.active_requests == 0)


@on_loops
def test_cancelled_while_it_waits_for_a_connection(
    upstream: MockUpstream, settings: Settings, transport_class: type[AsyncTransport]
) -> None:
    async def cancel_the_second() -> None:
        async with one_connection(settings, transport_class) as (gateway, transport):
            first = asyncio.create_task(consume(gateway, "hang", stream=False))
            second = CancelAt(consume(gateway, "ok", stream=False), 1, insist=False)
            with pytest.raises(asyncio.CancelledError):
                await asyncio.create_task(second.run())
            assert "1 active, 0 idle, 0 waiting" in repr(transport._pools.get())
            first.cancel()
            assert await consume(gateway, "ok", stream=False) == 200

    asyncio.run(cancel_the_second())
    assert [received.model for received in upstream.requests].count("ok") == 1


def test_a_cancelled_request_has_its_line_in_the_log(upstream: MockUpstream, settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    async def cancel_one() -> None:
        async with one_connection(settings, AsyncTransport) as (gateway, _):
            with pytest.raises(asyncio.CancelledError):
                await asyncio.create_task(CancelAt(consume(gateway, "ok", stream=False), 1, insist=False).run())

    with caplog.at_level("INFO"):
        asyncio.run(cancel_one())
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert [line(record)["code"] for record in caplog.records] == ["client_disconnected"]


def forgotten_loop(gateway: Gateway) -> None:
    for _ in gateway.stream(model="hang", messages=MESSAGES):
        break


def forgotten_body(gateway: Gateway) -> None:
    body = gateway.handle(request("hang", stream=True)).body
    assert isinstance(body, BlockingIterator)
    next(body)


def body_never_started(gateway: Gateway) -> None:
    gateway.handle(request("hang", stream=True))


@on_threads
@pytest.mark.parametrize("forget", [forgotten_loop, forgotten_body, body_never_started])
def test_a_stream_that_nobody_closes(
    upstream: MockUpstream, settings: Settings, transport_class: type[BlockingTransport], forget: Callable[[Gateway], None]
) -> None:
    """Some servers and many callers never call `close` (docs/promises.md, Clients that leave)."""
    transport = transport_class(1, 3.0, 4.0, 0.1)
    forget(Gateway(settings, transport=transport))
    check_nothing_left(transport._pools)
    upstream.wait_closed()
    run_sync(transport.aclose())


@on_loops
def test_an_async_stream_that_nobody_closes(upstream: MockUpstream, settings: Settings, transport_class: type[AsyncTransport]) -> None:
    """The event loop ends the generator at the bottom; the next request may already be waiting for the connection."""

    async def forget() -> None:
        async with one_connection(settings, transport_class) as (gateway, transport):
            async for _ in gateway.stream(model="hang", messages=MESSAGES):
                break
            assert await consume(gateway, "ok", stream=False) == 200
            check_nothing_left(transport._pools.get())

    asyncio.run(forget())
    upstream.wait_closed()


class FailingSocket(socket.socket):
    """Fails at the `left`-th read or write of all sockets."""

    left = 0
    error: BaseException

    def send(self, *args: Any) -> int:
        self._count()
        return super().send(*args)

    def recv_into(self, *args: Any) -> int:
        self._count()
        return super().recv_into(*args)

    def _count(self) -> None:
        kind = type(self)
        kind.left -= 1
        if kind.left == 0:
            if isinstance(kind.error, OSError):
                # As the system does it: nothing can be read of a connection that is lost, either.
                self.shutdown(socket.SHUT_RDWR)
            raise kind.error


def fail_at(monkeypatch: pytest.MonkeyPatch, count: int, error: BaseException) -> None:
    def connect(*args: Any) -> FailingSocket:
        return FailingSocket(fileno=connect_first(*args).detach())

    monkeypatch.setattr(connecting, "connect_first", connect)
    monkeypatch.setattr(FailingSocket, "left", count)
    monkeypatch.setattr(FailingSocket, "error", error, raising=False)


ERRORS = [ConnectionResetError(), BrokenPipeError(), KeyboardInterrupt(), GeneratorExit(), SystemExit(), MemoryError(), RuntimeError("x")]


def read_all(gateway: Gateway, model: str, *, stream: bool) -> int:
    response = gateway.handle(request(model, stream=stream))
    if isinstance(response.body, BlockingIterator):
        with response.body as body:
            list(body)
    return response.status


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_every_read_and_write_may_fail(
    upstream: MockUpstream, settings: Settings, monkeypatch: pytest.MonkeyPatch, stream: bool, error: BaseException
) -> None:
    """Also with what is raised from outside, as by Ctrl-C or a time-out of gevent (docs/promises.md, Clients that leave)."""
    count, failed = 0, True
    while failed:
        count += 1
        transport = BlockingTransport(1, tick=0.1)
        gateway = Gateway(settings, transport=transport)
        with monkeypatch.context() as patch:
            fail_at(patch, count, error)
            with suppress(*([] if isinstance(error, Exception) else [type(error)])):
                # A whole answer that stalls ends at `total` only, and would take seconds each time.
                assert read_all(gateway, "stall" if stream else "ok", stream=stream) in (200, 500, 502, 504)
            failed = FailingSocket.left <= 0
        check_nothing_left(transport._pools)
        assert read_all(gateway, "ok", stream=False) == 200
        run_sync(transport.aclose())
    assert count > (4 if stream else 2)
    upstream.wait_for(lambda: upstream.active_requests == 0)
