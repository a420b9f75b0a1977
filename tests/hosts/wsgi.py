"""A plain WSGI app, wrapped by the middleware."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from completions_mw.adapters.wsgi import CompletionsMiddleware
from tests.hosts.base import HELLO, PAGES, Host, Project
from tests.support.wsgi_driver import WSGIServer


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Be the host app."""
    found = environ["PATH_INFO"] in PAGES
    start_response("200 OK" if found else "404 Not Found", [("content-type", "text/plain")])
    return [HELLO if found else b"the app has no such page"]


@contextmanager
def host(project: Project) -> Iterator[Host]:
    """Run the host for the time of a `with` block."""
    with project.gateway() as gateway:
        yield Host(WSGIServer(CompletionsMiddleware(app, gateway)), wraps=True, write_rows=gateway.usage)
