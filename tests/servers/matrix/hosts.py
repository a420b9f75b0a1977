"""The app of each framework that has no adapter of its own, wrapped by the middleware; a page of it answers as those of the other apps."""

import os
from typing import Any

from completions_mw import AsyncGateway, Gateway
from completions_mw.adapters import asgi, wsgi
from tests.servers.apps import settings

PAGE = "/page"
TEXT = f"host {os.getpid()} GET {PAGE}"


def around_asgi(app: Any) -> Any:
    return asgi.CompletionsMiddleware(app, AsyncGateway(settings()))


def around_wsgi(app: Any) -> Any:
    return wsgi.CompletionsMiddleware(app, Gateway(settings()))


def litestar() -> Any:
    from litestar import Litestar, get

    def page() -> str:
        return TEXT

    return around_asgi(Litestar([get(PAGE, media_type="text/plain", sync_to_thread=False)(page)]))


def quart() -> Any:
    from quart import Quart

    app = Quart(__name__)
    app.add_url_rule(PAGE, "page", lambda: TEXT)
    app.asgi_app = around_asgi(app.asgi_app)
    return app


def sanic() -> Any:
    from sanic import Sanic, text

    app = Sanic("host", configure_logging=False)
    app.add_route(lambda request: text(TEXT), PAGE, name="page")
    return around_asgi(app)


def blacksheep() -> Any:
    from blacksheep import Application, get, text

    app = Application()
    get(PAGE)(lambda: text(TEXT))
    return around_asgi(app)


class _Page:
    """A resource of Falcon."""

    def on_get(self, request: Any, response: Any) -> None:
        response.text = TEXT


class _AsyncPage:
    """A resource of Falcon under ASGI."""

    async def on_get(self, request: Any, response: Any) -> None:
        response.text = TEXT


def falcon_asgi() -> Any:
    import falcon.asgi

    app = falcon.asgi.App()
    app.add_route(PAGE, _AsyncPage())
    return around_asgi(app)


def falcon() -> Any:
    import falcon

    app = falcon.App()
    app.add_route(PAGE, _Page())
    return around_wsgi(app)


def bottle() -> Any:
    from bottle import Bottle

    app = Bottle()
    app.route(PAGE, callback=lambda: TEXT)
    return around_wsgi(app)


def pyramid() -> Any:
    from pyramid.config import Configurator
    from pyramid.response import Response

    with Configurator() as config:
        config.add_route("page", PAGE)
        config.add_view(lambda request: Response(TEXT), route_name="page")
        return around_wsgi(config.make_wsgi_app())


def a2wsgi_to_asgi() -> Any:
    from a2wsgi import WSGIMiddleware

    from tests.servers import wsgi_app

    return WSGIMiddleware(wsgi_app.app, workers=32)


def a2wsgi_to_wsgi() -> Any:
    from a2wsgi import ASGIMiddleware

    from tests.servers import asgi_app

    return ASGIMiddleware(asgi_app.app)
