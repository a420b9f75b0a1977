"""Adapter for Starlette: `Starlette(routes=[*routes(gateway), ...])`.

The app closes the gateway in its lifespan:

    @asynccontextmanager
    async def lifespan(app):
        async with gateway:
            yield
"""

from typing import Final

from completions_mw.adapters.asgi import Send, answer, path_of, refuse
from completions_mw.adapters.asgi_client import Receive, Scope
from completions_mw.adapters.support import check_gateway, needs
from completions_mw.core.routes import Routes
from completions_mw.gateway import AsyncGateway

with needs("starlette"):
    from starlette.convertors import Convertor, register_url_convertor
    from starlette.requests import Request
    from starlette.routing import BaseRoute, Match, Route

CONVERTOR: Final = "completions_mw_model"
MODEL: Final = f"/{{model:{CONVERTOR}}}"
"""The end of the path of one model."""


class ModelConvertor(Convertor[str]):
    """The id of a model in a path: any text but none, with slashes anywhere."""

    regex = r"[\s\S]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor(CONVERTOR, ModelConvertor())


def routes(gateway: AsyncGateway) -> list[BaseRoute]:
    """Return the gateway's paths as routes, for an app or below a `Mount`.

    Raises:
        TypeError: `gateway` is not an `AsyncGateway`.
    """
    check_gateway(gateway, AsyncGateway)
    paths = Routes(gateway.settings.prefix)
    return [
        GatewayRoute(gateway, paths.chat, "completions_mw_chat"),
        GatewayRoute(gateway, paths.embeddings, "completions_mw_embeddings"),
        GatewayRoute(gateway, paths.models, "completions_mw_models"),
        GatewayRoute(gateway, paths.models + MODEL, "completions_mw_model"),
        AbsentRoute(gateway, gateway.settings.prefix),
    ]


class GatewayRoute(Route):
    """A route that matches exactly the paths of the gateway, and every HTTP method. OPTIONS goes to another route if there is one."""

    def __init__(self, gateway: AsyncGateway, path: str, name: str) -> None:
        super().__init__(path, GatewayApp(gateway), name=name)
        self._gateway = gateway

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http" or not self._gateway.has_path(path_of(scope)):
            return Match.NONE, {}
        match, child_scope = super().matches(scope)
        return (Match.PARTIAL if scope["method"] == "OPTIONS" else match), child_scope


class AbsentRoute(Route):
    """A route of the paths that the gateway lacks. Any other route that matches comes first, wherever it stands."""

    def __init__(self, gateway: AsyncGateway, prefix: str) -> None:
        super().__init__(f"{prefix}/{{absent:path}}", AbsentApp(gateway), name="completions_mw_absent")
        self._gateway = gateway

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http" or not self._gateway.lacks(path_of(scope)):
            return Match.NONE, {}
        return Match.PARTIAL, super().matches(scope)[1]


class AbsentApp:
    """The ASGI app of the paths that the gateway lacks."""

    def __init__(self, gateway: AsyncGateway) -> None:
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await refuse(self._gateway, scope, send)


class GatewayApp:
    """The ASGI app of a route. Starlette would wrap a function instead, and answer only GET with it."""

    def __init__(self, gateway: AsyncGateway) -> None:
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await answer(self._gateway, scope, receive, send, native=Request(scope))
