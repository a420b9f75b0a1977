"""A FastAPI app with the router."""

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import FastAPI, Response

from completions_mw.adapters.fastapi import router
from tests.hosts.base import HELLO, PAGES, Host, Project
from tests.support.asgi_driver import ASGIServer


@contextmanager
def host(project: Project) -> Iterator[Host]:
    """Run the host for the time of a `with` block."""
    app = FastAPI()
    with project.async_gateway() as gateway:
        app.include_router(router(gateway))
        for page in PAGES:
            app.add_api_route(page, hello, response_class=Response)
        yield Host(ASGIServer(app, project.portal), write_rows=project.rows_of(gateway))


async def hello() -> Response:
    """Be a page of the app."""
    return Response(HELLO)
