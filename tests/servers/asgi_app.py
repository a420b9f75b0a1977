"""A host app with the endpoint, for every ASGI server."""

import os

from completions_mw import AsyncGateway
from completions_mw.adapters.asgi import CompletionsMiddleware, Send, no_app
from completions_mw.adapters.asgi_client import Receive, Scope
from tests.servers.apps import settings


async def host(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer what is not for the gateway: who was asked for what."""
    if scope["type"] != "http":
        return await no_app(scope, receive, send)
    body = f"host {os.getpid()} {scope['method']} {scope['path']}".encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


app = CompletionsMiddleware(host, AsyncGateway(settings()))
