"""A Starlette app with the routes."""

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from completions_mw.adapters.starlette import routes
from tests.hosts.base import HELLO, PAGES, Host, Project
from tests.support.asgi_driver import ASGIServer


@contextmanager
def host(project: Project) -> Iterator[Host]:
    """Run the host for the time of a `with` block."""
    with project.async_gateway() as gateway:
        app = Starlette(routes=[*routes(gateway), *(Route(page, hello) for page in PAGES)])
        yield Host(ASGIServer(app, project.portal), write_rows=project.rows_of(gateway))


async def hello(request: Request) -> Response:
    """Be a page of the app."""
    return Response(HELLO)
