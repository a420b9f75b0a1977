"""Calls an ASGI app as a server does: on an event loop of its own, with back-pressure, and with a client that can leave."""

import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from functools import cached_property
from types import TracebackType
from typing import Any, Self

import anyio
from anyio.from_thread import BlockingPortal

from tests.support.exchange import Sent

Message = MutableMapping[str, Any]
ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]

PIECES_IN_FLIGHT = 4
PATIENCE = 10


class ASGIServer:
    """A `Server` for ASGI.

    Args:
        app: is called.
        portal: the event loop that it runs on.
    """

    def __init__(self, app: ASGIApp, portal: BlockingPortal) -> None:
        self._app = app
        self._portal = portal

    def send(self, request: Sent) -> "ASGIAnswer":
        return ASGIAnswer(self._app, request, self._portal)


class ASGIAnswer:
    """An `Answer`. `send` never fails after the client left, as on all servers."""

    def __init__(self, app: ASGIApp, request: Sent, portal: BlockingPortal) -> None:
        self.taken = 0
        self.blocked = threading.Event()
        """Set once the app had to wait because the client does not read."""
        self._incoming = iter(_body_messages(request))
        self._portal = portal
        self._left = anyio.Event()
        self._to_client, self._from_app = anyio.create_memory_object_stream[Message](PIECES_IN_FLIGHT)
        self._task = portal.start_task_soon(self._run, app, scope_of(request))

    async def _run(self, app: ASGIApp, scope: dict[str, Any]) -> None:
        with self._to_client:
            await app(scope, self._receive, self._send)

    async def _receive(self) -> Message:
        message = next(self._incoming, None)
        if message is None:
            await self._left.wait()
            return {"type": "http.disconnect"}
        self.taken += len(message.get("body", b""))
        return message

    async def _send(self, message: Message) -> None:
        if self._left.is_set():
            return
        try:
            self._to_client.send_nowait(message)
        except anyio.WouldBlock:
            self.blocked.set()
            await self._to_client.send(message)

    @cached_property
    def start(self) -> Message:
        """The head of the answer, as soon as it is there."""
        message = self._next_message()
        assert message is not None, "the app ended without an answer"
        assert message["type"] == "http.response.start"
        return message

    @property
    def status(self) -> int:
        return int(self.start["status"])

    @cached_property
    def headers(self) -> Mapping[str, str]:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self.start["headers"]}
        assert len(headers) == len(self.start["headers"])
        return headers

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """Return the next piece; empty ones end the body or are of no interest."""
        assert self.start
        while (message := self._next_message()) is not None:
            assert message["type"] == "http.response.body"
            if message.get("body"):
                return bytes(message["body"])
        raise StopIteration

    def _next_message(self) -> Message | None:
        try:
            return self._portal.call(self._from_app.receive)
        except anyio.EndOfStream:
            self._task.result(PATIENCE)
            return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        # A `send` that waits for a slow client goes on waiting: only being told that the client left ends it.
        self._portal.call(self._left.set)
        try:
            self._task.result(PATIENCE)
        finally:
            self._portal.call(self._from_app.close)


def scope_of(request: Sent) -> dict[str, Any]:
    """Return the scope of a request."""
    path = request.mount + request.path
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": request.mount,
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in request.headers],
        "client": ("127.0.0.1", 50000),
        "server": ("localhost", 80),
        "state": {},
    }


def _body_messages(request: Sent) -> list[Message]:
    pieces = request.body or (b"",)
    last = len(pieces) if request.complete else len(pieces) + 1
    return [{"type": "http.request", "body": piece, "more_body": at < last} for at, piece in enumerate(pieces, 1)]
