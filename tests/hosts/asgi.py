"""A plain ASGI app, wrapped by the middleware."""

from typing import Any

from completions_mw.adapters.asgi import CompletionsMiddleware
from tests.hosts.base import HELLO, Gateways, Host
from tests.support.asgi_driver import ASGIServer


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Be the host app."""
    found = scope["path"].removeprefix(scope["root_path"]) == "/hello"
    await send({"type": "http.response.start", "status": 200 if found else 404, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": HELLO if found else b"the app has no such page"})


def host(gateways: Gateways) -> Host:
    """Return the host."""
    return Host(ASGIServer(CompletionsMiddleware(app, gateways.asynchronous), gateways.portal), is_async=True)
