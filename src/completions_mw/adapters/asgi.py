"""Any ASGI app: `app = CompletionsMiddleware(app, gateway)`."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from completions_mw.adapters.support import check_gateway
from completions_mw.core.streaming.body import StreamBody
from completions_mw.core.validation.headers import body_too_large_error
from completions_mw.errors import ClientDisconnectedError, RequestTimeoutError
from completions_mw.gateway import AsyncGateway
from completions_mw.http import Request, RequestBody, Response

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]


WATCH_AFTER = 0.02
"""Seconds after which a client is watched: much less than any model takes."""


class CompletionsMiddleware:
    """Answers the gateway's paths and leaves everything else to the host app.

    Args:
        app: the host app; None to stand alone.
        gateway: answers; closed when the server shuts the app down.

    Raises:
        TypeError: the gateway is not an async one.
    """

    def __init__(self, app: ASGIApp | None, gateway: AsyncGateway) -> None:
        check_gateway(gateway, AsyncGateway)
        self._app = app or no_app
        self._owns = gateway.owns if app else owns_all
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._owns(scope["method"], path_of(scope)):
            await answer(self._gateway, scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._app(scope, receive, self._closing(send))
        else:
            await self._app(scope, receive, send)

    def _closing(self, send: Send) -> Send:
        async def close_first(message: Message) -> None:
            if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
                await self._gateway.close()
            await send(message)

        return close_first


async def answer(gateway: AsyncGateway, scope: Scope, receive: Receive, send: Send, native: object = None) -> None:
    """Answer one HTTP request; stop the moment that its client leaves."""
    client = Client(receive, gateway.settings.body_timeout)
    try:
        await respond(await gateway.handle(to_request(scope, client, native)), send)
    except asyncio.CancelledError:
        if not client.left():
            raise
    finally:
        client.release()


def to_request(scope: Scope, body: RequestBody, native: object = None) -> Request:
    """Return the request of an ASGI scope."""
    address = scope.get("client")
    return Request(
        method=scope["method"],
        path=path_of(scope),
        headers=tuple([(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]),
        body=body,
        client=address[0] if address else None,
        native=scope if native is None else native,
        # Starlette and FastAPI put themselves into the scope.
        debug=getattr(scope.get("app"), "debug", None) is True,
    )


async def respond(response: Response[StreamBody], send: Send) -> None:
    """Send an answer, piece by piece where it is streamed."""
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    start = {"type": "http.response.start", "status": response.status, "headers": headers}
    body = response.body
    if isinstance(body, bytes):
        await send(start)
        return await send({"type": "http.response.body", "body": body})
    try:
        await send(start)
        while not body.is_done:
            piece = await body.__anext__()
            await send({"type": "http.response.body", "body": piece, "more_body": not body.is_done})
    finally:
        await body.aclose()


def path_of(scope: Scope) -> str:
    """Return the path below the app's mount point."""
    path: str = scope["path"]
    root = scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(root + "/") else path


class Client:
    """The other end of a request: its body, and whether it is still there.

    `send` never fails after the client left, so `receive` is watched once the body is read (docs/promises.md): not at once, since most of
    the cost of a short answer would be its watcher, and by a bare task, since a task group costs seven times as much.
    """

    __slots__ = ("_late", "_left", "_loop", "_receive", "_task", "_timeout", "_timer", "_watcher")

    def __init__(self, receive: Receive, timeout: float) -> None:
        self._receive = receive
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._timer: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._late = False
        self._left = False

    async def read(self, limit: int) -> bytes:
        """Return the body, as `RequestBody` says."""
        # Around the first piece too: a server calls the app before any of the body is there.
        self._timer = self._loop.call_later(self._timeout, self._give_up)
        try:
            body = await self._whole(limit)
        except asyncio.CancelledError:
            if not (self._late and self._take_cancellation()):
                raise
            text = f"The request body did not arrive within {self._timeout:g} seconds."
            raise RequestTimeoutError(text, headers=(("connection", "close"),)) from None
        finally:
            self._timer.cancel()
        if len(body) > limit:
            raise body_too_large_error(limit)
        self._timer = self._loop.call_later(WATCH_AFTER, self._start_watching)
        return body

    async def _whole(self, limit: int) -> bytes:
        message = await self._receive()
        body = _content(message)
        if not message.get("more_body"):
            return body
        pieces, size, more = [body], len(body), True
        while more and size <= limit:
            message = await self._receive()
            pieces.append(_content(message))
            size += len(pieces[-1])
            more = message.get("more_body", False)
        return b"".join(pieces)

    def _give_up(self) -> None:
        self._late = True
        self._cancel()

    def _start_watching(self) -> None:
        self._watcher = self._loop.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._left = True
        self._cancel()

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _take_cancellation(self) -> bool:
        """Tell whether nobody else has cancelled the request's task, and clear our own cancellation if so."""
        return self._task is not None and self._task.uncancel() == 0

    def left(self) -> bool:
        """Tell whether the client's leaving alone cancelled the request's task, and clear that if so."""
        return self._left and self._take_cancellation()

    def release(self) -> None:
        """Stop watching."""
        if self._timer is not None:
            self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        # The watcher and its task would keep each other, and the whole request, until the next collection of garbage.
        self._timer = self._watcher = self._task = None


def _content(message: Message) -> bytes:
    if message["type"] == "http.disconnect":
        raise ClientDisconnectedError
    content: bytes = message.get("body", b"")
    return content


def owns_all(method: str, path: str) -> bool:
    """Every request is for a gateway that stands alone."""
    return True


async def no_app(scope: Scope, receive: Receive, send: Send) -> None:
    """Host app of a gateway that stands alone: answers the lifespan, and closes websockets."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close"})
    while scope["type"] == "lifespan":
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
