"""A real OpenAI-compatible upstream over HTTP/1.1, whose behaviour is chosen by the name of the model (see `upstream_scenarios`).

Example:
    with MockUpstream() as upstream:
        ...  # call upstream.url with the model "stall-2" in another thread or process
        upstream.wait_for(lambda: upstream.active_requests == 1)
        upstream.release()

Nothing in it sleeps or polls: a test waits for what the upstream saw, and scenarios wait for the test.
"""

import asyncio
import re
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from tests.support import upstream_answers as answers
from tests.support.loop_thread import Handler, LoopThread, stop_listening
from tests.support.upstream_exchange import Received, RequestContext, read_request
from tests.support.upstream_scenarios import SCENARIOS, Scenario


class Closed(NamedTuple):
    """A connection that the client closed before its answer was complete."""

    request: Received
    pieces_sent: int
    at: float
    """When it was noticed, on the monotonic clock."""


class _Protocol(asyncio.StreamReaderProtocol):
    """Notices that the client left without reading for it: what a stream reader reads here, the next request would miss."""

    def __init__(self, reader: asyncio.StreamReader, serve: Handler) -> None:
        super().__init__(reader, serve)
        self.left = asyncio.Event()

    def eof_received(self) -> bool | None:
        self.left.set()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.left.set()
        super().connection_lost(exc)


class MockUpstream(LoopThread):
    """Serves on a free port of 127.0.0.1 for the time of a `with` block; every attribute may be read from any thread.

    Args:
        scenarios: further behaviours, by the name of the model.
        path: the only path that answers beside that of embeddings; any, if None (for wire formats other than OpenAI's).
        tls: makes it an HTTPS server.
    """

    def __init__(
        self,
        scenarios: Mapping[str, Scenario] | None = None,
        *,
        path: str | None = "/v1/chat/completions",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__()
        self.requests: list[Received] = []
        self.closed: list[Closed] = []
        self.connections = 0
        self.active_connections = 0
        self.active_requests = 0
        self.most_active_requests = 0
        self.port = 0
        self._scenarios = {**SCENARIOS, **(scenarios or {})}
        self._path = path
        self._tls = tls
        self._release = asyncio.Event()
        self._seen: Counter[str] = Counter()
        self._changed = threading.Condition()

    @property
    def url(self) -> str:
        """The base URL that a client is configured with."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/v1"

    def release(self) -> None:
        """Let every scenario go on that waits, now or later, until `reset`."""
        self.call(self._release.set)

    def reset(self) -> None:
        """Forget what was seen, and hold scenarios again."""
        self.call(self._release.clear)
        with self._change():
            self.requests.clear()
            self._seen.clear()
            self.closed.clear()
            self.connections = self.active_connections
            self.most_active_requests = self.active_requests

    def wait_for(self, predicate: Callable[[], bool], timeout: float = 30) -> None:
        """Return as soon as `predicate` is true of this upstream.

        Raises:
            TimeoutError: it has not become true.
        """
        with self._changed:
            if not self._changed.wait_for(predicate, timeout):
                raise TimeoutError(f"not seen within {timeout} s: {self.requests=} {self.closed=} {self.active_requests=}")

    def wait_closed(self, timeout: float = 30) -> Closed:
        """Return the first answer that its client did not wait for."""
        self.wait_for(lambda: bool(self.closed), timeout)
        return self.closed[0]

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, "127.0.0.1", backlog=1024, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        await stop_listening(self._server)

    def _protocol(self) -> _Protocol:
        return _Protocol(asyncio.StreamReader(limit=1024 * 1024), lambda reader, writer: self.handle(self._serve, reader, writer))

    @contextmanager
    def _change(self) -> Iterator[None]:
        with self._changed:
            yield
            self._changed.notify_all()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with self._change():
            self.connections += 1
            self.active_connections += 1
        try:
            while not writer.is_closing() and (request := await read_request(reader)):
                await self._serve_one(request, writer)
        finally:
            with self._change():
                self.active_connections -= 1

    async def _serve_one(self, request: Received, writer: asyncio.StreamWriter) -> None:
        protocol = writer.transport.get_protocol()
        assert isinstance(protocol, _Protocol)
        with self._change():
            exchange = RequestContext(request, writer, self._release, self._seen[request.model])
            self.requests.append(request)
            self._seen[request.model] += 1
            self.active_requests += 1
            self.most_active_requests = max(self.most_active_requests, self.active_requests)
        complete = False
        try:
            complete = await _answered(self._scenario(request)(exchange), protocol.left)
        finally:
            with self._change():
                self.active_requests -= 1
                if not complete:
                    self.closed.append(Closed(request, exchange.pieces_sent, time.monotonic()))
        if not complete:
            writer.transport.abort()

    def _scenario(self, request: Received) -> Scenario:
        path = request.path.partition("?")[0]
        if request.method != "POST" or (self._path is not None and path not in (self._path, "/v1/embeddings")):
            return _unknown_path
        name = request.model if request.model in self._scenarios else re.sub(r"-\d+$", "", request.model)
        return self._scenarios.get(name, _unknown_model)


async def _answered(answer: Coroutine[Any, Any, None], left: asyncio.Event) -> bool:
    """Say whether `answer` was given before the client left; if the client leaves first, stop it."""
    answering = asyncio.create_task(answer)
    leaving = asyncio.create_task(left.wait())
    try:
        await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
        return answering.done() and await _unbroken(answering)
    finally:
        for task in (answering, leaving):
            task.cancel()
        await asyncio.gather(answering, leaving, return_exceptions=True)


async def _unbroken(answering: asyncio.Task[None]) -> bool:
    try:
        await answering
    except ConnectionError:
        return False
    return True


async def _unknown_path(x: RequestContext) -> None:
    message = f"Invalid URL ({x.request.method} {x.request.path})"
    await x.reply_json(answers.error(message, kind="invalid_request_error"), status=404)


async def _unknown_model(x: RequestContext) -> None:
    message = f"The model `{x.request.model}` does not exist or you do not have access to it."
    await x.reply_json(answers.error(message, kind="invalid_request_error", code="model_not_found"), status=404)
