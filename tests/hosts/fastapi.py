"""A FastAPI app with the router."""

from fastapi import FastAPI, Response

from completions_mw.adapters.fastapi import router
from tests.hosts.base import HELLO, Gateways, Host
from tests.support.asgi_driver import ASGIServer


def host(gateways: Gateways) -> Host:
    """Return the host."""
    app = FastAPI()
    app.add_api_route("/hello", hello, response_class=Response)
    app.include_router(router(gateways.asynchronous))
    return Host(ASGIServer(app, gateways.portal), is_async=True)


async def hello() -> Response:
    """Be a page of the app."""
    return Response(HELLO)
