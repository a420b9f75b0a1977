"""Servers that break the rules of WSGI and ASGI leave no upstream open (docs/promises.md, Clients that leave)."""

import asyncio
import io
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from completions_mw import AsyncGateway, Gateway
from completions_mw.adapters import asgi, wsgi
from completions_mw.blocking import BlockingIterator
from tests.faults.conftest import request, settings_for
from tests.support.asgi_driver import scope_of
from tests.support.exchange import Sent
from tests.support.logs import line
from tests.support.upstream import MockUpstream
from tests.support.wsgi_driver import environ_of

PATH = "/api/v1/chat/completions"
PATIENCE = {"connect": 2, "first_byte": 20, "between_events": 20}
DISCONNECT = {"type": "http.disconnect"}


def sent(model: str, *, stream: bool = True) -> Sent:
    asked = request(model, stream=stream)
    assert isinstance(asked.body, bytes)
    return Sent("POST", PATH, (*asked.headers, ("content-length", str(len(asked.body)))), (asked.body,))


@pytest.fixture(autouse=True)
def access_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.INFO, "completions_mw.access"):
        yield


def check_one_line(caplog: pytest.LogCaptureFixture, status: int) -> None:
    """Check that the request was settled exactly once."""
    lines = [line(record) for record in caplog.records if record.name == "completions_mw.access"]
    assert [line["status"] for line in lines] == [status]


# --- WSGI


def close_twice(body: BlockingIterator[bytes]) -> None:
    next(body)
    body.close()
    body.close()


def close_before_the_start(body: BlockingIterator[bytes]) -> None:
    body.close()


def never_close(body: BlockingIterator[bytes]) -> None:
    next(body)


def close_in_another_thread(body: BlockingIterator[bytes]) -> None:
    next(body)
    thread = threading.Thread(target=body.close)
    thread.start()
    thread.join()


def iterate_after_close(body: BlockingIterator[bytes]) -> None:
    next(body)
    body.close()
    assert list(body) == []
    with pytest.raises(StopIteration):
        next(body)


def iterate_after_the_end(body: BlockingIterator[bytes]) -> None:
    assert list(body)[-1].endswith(b"data: [DONE]\n\n")
    assert list(body) == []
    body.close()
    assert list(body) == []


@pytest.mark.parametrize(
    ("serve", "model", "status"),
    [
        (close_twice, "stall", 499),
        (close_before_the_start, "stall", 499),
        (never_close, "stall", 499),
        (close_in_another_thread, "stall", 499),
        (iterate_after_close, "stall", 499),
        (iterate_after_the_end, "ok", 200),
        (iterate_after_the_end, "hang", 200),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_wsgi_servers(
    upstream: MockUpstream, caplog: pytest.LogCaptureFixture, serve: Callable[[BlockingIterator[bytes]], None], model: str, status: int
) -> None:
    """See docs/promises.md, Clients that leave."""
    with Gateway(settings_for(upstream, PATIENCE, connections={"max": 1})) as gateway:
        app = wsgi.CompletionsMiddleware(None, gateway)
        asked = sent(model)

        def body() -> Any:
            return app(environ_of(asked, io.BytesIO(asked.body[0])), lambda *_: lambda _: None)

        serve(body())
        check_one_line(caplog, status)
        upstream.wait_for(lambda: upstream.active_requests == 0)
        assert list(gateway.stream(model="ok", messages=[{"role": "user", "content": "hi"}]))


# --- ASGI


class Server:
    """An ASGI server whose every message is written down by the test.

    Args:
        incoming: what `receive` gives, one after the other; then it waits for ever, or for `leave`.
        forever: whether even the client's leaving is never told.
    """

    def __init__(self, incoming: list[dict[str, Any]], *, forever: bool = False) -> None:
        self.messages: list[dict[str, Any]] = []
        self.left = asyncio.Event()
        self._incoming = incoming
        self._forever = forever

    async def receive(self) -> dict[str, Any]:
        if self._incoming:
            return self._incoming.pop(0)
        await (asyncio.Event() if self._forever else self.left).wait()
        return DISCONNECT

    async def send(self, message: Any) -> None:
        self.messages.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)


def run_app(upstream: MockUpstream, server_of: Callable[[], Server], model: str, *, stream: bool = True) -> Server:
    """Run one request to its end, and check that the app left nothing running and that its only connection is free."""

    async def run() -> Server:
        async with AsyncGateway(settings_for(upstream, PATIENCE, connections={"max": 1})) as gateway:
            server = server_of()
            app = asgi.CompletionsMiddleware(None, gateway)
            await app(scope_of(sent(model, stream=stream)), server.receive, server.send)
            await asyncio.sleep(0)
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert (await gateway.complete(model="ok", messages=[{"role": "user", "content": "hi"}])).id
            return server

    return asyncio.run(run())


def whole(model: str, *, stream: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": sent(model, stream=stream).body[0], "more_body": False}


def half(model: str) -> dict[str, Any]:
    return {"type": "http.request", "body": sent(model).body[0][:20], "more_body": True}


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("model", ["ttfb", "stall"])
def test_disconnect_is_told_twice(upstream: MockUpstream, caplog: pytest.LogCaptureFixture, model: str, stream: bool) -> None:
    """See docs/promises.md, Clients that leave."""
    server = run_app(upstream, lambda: Server([whole(model, stream=stream), DISCONNECT, DISCONNECT]), model, stream=stream)
    assert b"[DONE]" not in server.body
    assert stream or server.body == b""
    check_one_line(caplog, 499)
    upstream.wait_for(lambda: upstream.active_requests == 0)


@pytest.mark.parametrize("messages", [[DISCONNECT, DISCONNECT], [half("ok"), DISCONNECT, DISCONNECT]], ids=["at-once", "in-the-body"])
def test_disconnect_comes_before_the_body(upstream: MockUpstream, caplog: pytest.LogCaptureFixture, messages: list[dict[str, Any]]) -> None:
    """See docs/promises.md, Clients that leave."""
    run_app(upstream, lambda: Server(list(messages)), "ok")
    check_one_line(caplog, 499)
    assert [received.json.get("stream") for received in upstream.requests] == [False]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("forever", [False, True], ids=["disconnect-after-the-end", "receive-waits-for-ever"])
def test_the_answer_is_complete(upstream: MockUpstream, caplog: pytest.LogCaptureFixture, forever: bool, stream: bool) -> None:
    """A server that says nothing more does not keep the app (docs/promises.md, Clients that leave)."""
    server = run_app(upstream, lambda: Server([whole("ok", stream=stream)], forever=forever), "ok", stream=stream)
    assert server.messages[0]["status"] == 200
    assert [message.get("more_body", False) for message in server.messages[1:]].count(False) == 1
    assert not server.messages[-1].get("more_body", False)
    check_one_line(caplog, 200)


class FullServer(Server):
    """Its client has gone by the `count`-th message: that one cannot be sent, or waits until the request is cancelled."""

    def __init__(self, incoming: list[dict[str, Any]], count: int, *, waits: bool) -> None:
        super().__init__(incoming, forever=not waits)
        self._count = count
        self._waits = waits

    async def send(self, message: Any) -> None:
        await super().send(message)
        if len(self.messages) == self._count:
            if not self._waits:
                raise OSError("the connection is closed")
            self.left.set()
            await asyncio.Event().wait()


@pytest.mark.parametrize("waits", [False, True], ids=["raises", "waits"])
@pytest.mark.parametrize(
    "count",
    [
        pytest.param(1, id="head"),
        pytest.param(2, id="first-piece"),
        pytest.param(3, id="second-piece"),
    ],
)
def test_send_fails(upstream: MockUpstream, caplog: pytest.LogCaptureFixture, count: int, waits: bool) -> None:
    def full() -> Server:
        return FullServer([whole("stall")], count, waits=waits)

    with suppress(OSError):
        run_app(upstream, full, "stall")
    check_one_line(caplog, 499)
    upstream.wait_closed()
