"""Adapter for FastAPI: `app.include_router(router(gateway))`, with OpenAPI documents.

FastAPI documents the request, and does not validate it: OpenAI's SDKs cannot read its errors (422, `{"detail": ...}`), and would show no
message, type and code (docs/contract.md, Errors). The app closes the gateway in its lifespan: `async with gateway: yield`.
"""

from collections.abc import AsyncIterator
from typing import Final

from completions_mw.adapters.asgi import Send, answer
from completions_mw.adapters.asgi_client import Message, Receive, Scope
from completions_mw.adapters.fastapi_docs import GatewayErrorResponse, answer_docs, completion_docs, request_docs
from completions_mw.adapters.support import check_gateway, needs
from completions_mw.core.routes import ABSENT, Routes
from completions_mw.gateway import AsyncGateway
from completions_mw.schemas import EmbeddingRequest, EmbeddingResponse, ModelCard, ModelList

with needs("fastapi"):
    from fastapi import APIRouter, HTTPException, Request, Response, Security
    from fastapi.routing import APIRoute
    from fastapi.security import HTTPBearer
    from starlette.requests import ClientDisconnect
    from starlette.routing import Match, Route

    from completions_mw.adapters.starlette import MODEL

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE")
KEY_SCHEME: Final = HTTPBearer(
    auto_error=False, scheme_name="ApiKeyAuth", description="An API key of this service, or the login of the app."
)


def router(gateway: AsyncGateway) -> APIRouter:
    """Return the gateway's paths as a router. It may be included with a prefix and with dependencies, as any router.

    Raises:
        TypeError: `gateway` is not an `AsyncGateway`.
    """
    check_gateway(gateway, AsyncGateway)
    paths = Routes(gateway.settings.prefix)
    api = APIRouter(
        route_class=ExactRoute,
        dependencies=[Security(KEY_SCHEME)],
        responses={"4XX": {"model": GatewayErrorResponse}, "5XX": {"model": GatewayErrorResponse}},
    )
    operations = Operations(gateway, paths)
    for path, method, operation, docs in (
        (paths.chat, "POST", operations.create_chat_completion, completion_docs()),
        (paths.embeddings, "POST", operations.create_embeddings, answer_docs(EmbeddingResponse) | request_docs(EmbeddingRequest)),
        (paths.models, "GET", operations.list_models, answer_docs(ModelList)),
        (paths.models + MODEL, "GET", operations.retrieve_model, answer_docs(ModelCard)),
    ):
        api.add_api_route(path, operation, methods=[method], **docs)
        # The gateway refuses other methods with OpenAI's error, after the dependencies of the router.
        api.add_api_route(path, operation, methods=[other for other in METHODS if other != method], include_in_schema=False)
        api.routes.append(Route(path, OtherMethods(gateway, path), include_in_schema=False))
    if paths.absent:
        path = f"{gateway.settings.prefix}/{{absent:path}}"
        refuse = operations.refuse_absent
        api.add_api_route(path, refuse, methods=[*METHODS], include_in_schema=False, route_class_override=AbsentRoute)
    return api


class Operations:
    """The path operations. FastAPI shows their names and docstrings in the OpenAPI document.

    Args:
        gateway: answers the requests.
        paths: the paths of the gateway.
    """

    def __init__(self, gateway: AsyncGateway, paths: Routes) -> None:
        self._gateway = gateway
        self._paths = paths

    async def create_chat_completion(self, request: Request) -> Response:
        """Create a chat completion; with `stream`, as server-sent events.

        Reference: https://platform.openai.com/docs/api-reference/chat/create
        """
        return GatewayResponse(self._gateway, request, self._paths.chat)

    async def create_embeddings(self, request: Request) -> Response:
        """Create a vector for each input.

        Reference: https://platform.openai.com/docs/api-reference/embeddings/create
        """
        return GatewayResponse(self._gateway, request, self._paths.embeddings)

    async def list_models(self, request: Request) -> Response:
        """List the models that the caller may use."""
        return GatewayResponse(self._gateway, request, self._paths.models)

    async def retrieve_model(self, request: Request, model: str) -> Response:
        """Return one of the models that the caller may use."""
        return GatewayResponse(self._gateway, request, f"{self._paths.models}/{model}")

    async def refuse_absent(self, request: Request, absent: str) -> Response:
        """Answer a request for a path of OpenAI's API that the gateway does not have."""
        response = self._gateway.refuse(request.method, f"{self._gateway.settings.prefix}/{absent}")
        return Response(response.body, response.status, dict(response.headers))


class ExactRoute(APIRoute):
    """A route that matches exactly its path, without the line feed at the end that Starlette's patterns allow."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child_scope = super().matches(scope)
        return (match, child_scope) if is_exact(scope, child_scope) else (Match.NONE, {})


class AbsentRoute(APIRoute):
    """A route of the paths that the gateway lacks. Any other route that matches comes first, wherever it stands."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child_scope = super().matches(scope)
        is_absent = match is Match.FULL and f"/{child_scope['path_params']['absent']}" in ABSENT
        return (Match.PARTIAL, child_scope) if is_absent else (Match.NONE, {})


def is_exact(scope: Scope, child_scope: Scope) -> bool:
    """Return whether a path that matched is that of its route. Only the id of a model may have a line feed at its end."""
    return "model" in child_scope.get("path_params", {}) or not scope.get("path", "").endswith("\n")


class OtherMethods:
    """The ASGI app for methods without a path operation: OPTIONS, and those that nobody knows."""

    def __init__(self, gateway: AsyncGateway, path: str) -> None:
        self._gateway = gateway
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not is_exact(scope, scope):
            raise HTTPException(404)
        path = self._path.replace(MODEL[1:], scope["path_params"].get("model", ""))
        await GatewayResponse(self._gateway, Request(scope, receive), path)(scope, receive, send)


class GatewayResponse(Response):
    """The response of a path operation, which asks the gateway when FastAPI sends it.

    Args:
        gateway: answers the request.
        request: the request of FastAPI.
        path: path of the request without the prefixes of routers.
    """

    def __init__(self, gateway: AsyncGateway, request: Request, path: str) -> None:
        super().__init__()
        self._gateway = gateway
        self._request = request
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        below = {**scope, "path": self._path, "root_path": ""}
        await answer(self._gateway, below, body_first(self._request, receive), send, native=self._request)
        if self.background is not None:
            await self.background()


def body_first(request: Request, receive: Receive) -> Receive:
    """Return a `receive` that yields the body of `request`, also if a dependency has read it already, and then calls `receive`."""
    pieces = unread(request)

    async def next_message() -> Message:
        try:
            piece = await anext(pieces, None)
        except ClientDisconnect:
            return {"type": "http.disconnect"}
        return await receive() if piece is None else {"type": "http.request", "body": piece, "more_body": bool(piece)}

    return next_message


async def unread(request: Request) -> AsyncIterator[bytes]:
    """Yield the body of `request` in pieces, the last of them empty; only that one if a dependency has taken the body."""
    try:
        async for piece in request.stream():
            yield piece
    except RuntimeError:
        # Starlette raises it for a stream that was consumed.
        yield b""
