"""Adapter for ASGI apps: `app = CompletionsMiddleware(app, gateway)`."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from completions_mw.adapters.asgi_client import Client, Message, Receive, Scope
from completions_mw.adapters.asgi_request import ScopeRequest
from completions_mw.adapters.asgi_rounds import noting_wait
from completions_mw.adapters.support import check_gateway
from completions_mw.core.streaming.body import ResponseBody
from completions_mw.errors import ClientDisconnectedError
from completions_mw.gateway import AsyncGateway
from completions_mw.http import Response

Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]


class CompletionsMiddleware:
    """ASGI middleware that answers the gateway's paths and passes all other requests to the host app.

    Args:
        app: the host app; None for a gateway without a host app, which answers every request.
        gateway: answers the requests. It is closed when the server shuts the app down.

    Raises:
        TypeError: `gateway` is not an `AsyncGateway`.
    """

    def __init__(self, app: ASGIApp | None, gateway: AsyncGateway) -> None:
        check_gateway(gateway, AsyncGateway)
        self._app = app or no_app
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if self._app is no_app or self._gateway.owns(scope["method"], path_of(scope)):
                await answer(self._gateway, scope, receive, send)
            elif self._gateway.lacks(path_of(scope)):
                await self._find_or_refuse(scope, receive, send)
            else:
                await self._app(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._app(scope, receive, self._closing(send))
        else:
            await self._app(scope, receive, send)

    async def _find_or_refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_missing = False

        async def send_found(message: Message) -> None:
            nonlocal is_missing
            is_missing = is_missing or message.get("status") == HTTPStatus.NOT_FOUND
            if not is_missing:
                await send(message)

        await self._app(scope, receive, send_found)
        if is_missing:
            await refuse(self._gateway, scope, send)

    def _closing(self, send: Send) -> Send:
        async def close_first(message: Message) -> None:
            if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
                await self._gateway.close()
            await send(message)

        return close_first


async def refuse(gateway: AsyncGateway, scope: Scope, send: Send) -> None:
    """Answer a request for a path that the gateway lacks and the host app does not have."""
    await respond(gateway.refuse(scope["method"], path_of(scope)), scope, send)


async def answer(gateway: AsyncGateway, scope: Scope, receive: Receive, send: Send, native: object = None) -> None:
    """Answer one HTTP request, and stop when its client leaves.

    Args:
        gateway: answers the request.
        scope: the scope of the request.
        receive: the callable of the server, or of what wraps it.
        send: the callable of the server.
        native: request object of the framework, for `authenticate`; the scope by default.
    """
    client = Client(scope, receive, gateway)
    response: Response[ResponseBody] | None = None
    try:
        request = ScopeRequest(scope, path_of(scope), client, native, client.drop)
        response = await noting_wait(gateway.handle(request), client.watch)
        is_there = client.answered()
        if not isinstance(response.body, bytes):
            client.watch()
            if not is_there:
                # Nobody reads the stream: what is left of it is read by itself, as far as it is to be paid.
                await response.body.aclose()
                response = Response(ClientDisconnectedError.status, (), b"")
        await respond(response, scope, send)
    except asyncio.CancelledError:
        if not client.left():
            raise
        if response is None:
            # Starlette's BaseHTTPMiddleware raises if an app ends without an answer.
            await respond(Response(ClientDisconnectedError.status, (), b""), scope, send)
    finally:
        client.release()


async def respond(response: Response[ResponseBody] | Response[bytes], scope: Scope, send: Send) -> None:
    """Send a response; a streamed body is sent piece by piece, and closed."""
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    if scope.get("http_version", "1.1") >= "2":
        # There is no such header in HTTP/2 (RFC 9113 section 8.2.2).
        headers = [header for header in headers if header[0] != b"connection"]
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
    """Return the path of a request below the mount point of the app."""
    path: str = scope["path"]
    root = scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(root + "/") else path


async def no_app(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI app in place of a missing host app: answers the lifespan and closes websockets."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close"})
    while scope["type"] == "lifespan":
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
