"""A host app with the endpoint, for every WSGI server."""

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from completions_mw import Gateway
from completions_mw.adapters.wsgi import CompletionsMiddleware
from tests.servers.apps import settings
from tests.support.grammar import is_keep_alive

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class KeepAlives:
    """Counts the keep-alives that the app gave its server."""

    def __init__(self) -> None:
        self.given = 0

    def around(self, app: "WSGIApplication") -> "WSGIApplication":
        return lambda environ, start_response: _Body(app(environ, start_response), self)


class _Body:
    def __init__(self, body: Iterable[bytes], keep_alives: KeepAlives) -> None:
        self._body = body
        self._keep_alives = keep_alives

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._body:
            self._keep_alives.given += is_keep_alive(piece)
            yield piece

    def close(self) -> None:
        getattr(self._body, "close", lambda: None)()


keep_alives = KeepAlives()


def host(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Answer what is not for the gateway: who was asked for what."""
    path = environ["PATH_INFO"]
    text = str(keep_alives.given) if path == "/keep-alives" else f"host {os.getpid()} {environ['REQUEST_METHOD']} {path}"
    body = text.encode("latin-1")
    start_response("200 OK", [("content-type", "text/plain"), ("content-length", str(len(body)))])
    return [body]


gateway = Gateway(settings())
if os.environ.get("USE_AT_IMPORT"):
    gateway.complete(model="ok", messages=[{"role": "user", "content": "before the fork"}])
app = keep_alives.around(CompletionsMiddleware(host, gateway))
