"""A plain ASGI app, wrapped by the middleware."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from completions_mw.adapters.asgi import CompletionsMiddleware
from tests.hosts.base import HELLO, PAGES, Host, Project
from tests.support.asgi_driver import ASGIServer


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Be the host app."""
    found = scope["path"].removeprefix(scope["root_path"]) in PAGES
    await send({"type": "http.response.start", "status": 200 if found else 404, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": HELLO if found else b"the app has no such page"})


@contextmanager
def host(project: Project) -> Iterator[Host]:
    """Run the host for the time of a `with` block."""
    with project.async_gateway() as gateway:
        server = ASGIServer(CompletionsMiddleware(app, gateway), project.portal)
        yield Host(server, wraps=True, write_rows=project.rows_of(gateway))
