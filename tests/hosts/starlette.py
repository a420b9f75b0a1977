"""A Starlette app with the routes."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from completions_mw.adapters.starlette import routes
from tests.hosts.base import HELLO, Gateways, Host
from tests.support.asgi_driver import ASGIServer


def host(gateways: Gateways) -> Host:
    """Return the host."""
    app = Starlette(routes=[Route("/hello", hello), *routes(gateways.asynchronous)])
    return Host(ASGIServer(app, gateways.portal), is_async=True)


async def hello(request: Request) -> Response:
    """Be a page of the app."""
    return Response(HELLO)
