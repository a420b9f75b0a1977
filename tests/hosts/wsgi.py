"""A plain WSGI app, wrapped by the middleware."""

from collections.abc import Iterable
from typing import Any

from completions_mw.adapters.wsgi import CompletionsMiddleware
from tests.hosts.base import HELLO, Gateways, Host
from tests.support.wsgi_driver import WSGIServer


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Be the host app."""
    found = environ["PATH_INFO"] == "/hello"
    start_response("200 OK" if found else "404 Not Found", [("content-type", "text/plain")])
    return [HELLO if found else b"the app has no such page"]


def host(gateways: Gateways) -> Host:
    """Return the host."""
    return Host(WSGIServer(CompletionsMiddleware(app, gateways.blocking)), is_async=False)
