"""Adapter for FastAPI: `app.include_router(router(gateway))`, with OpenAPI documents.

FastAPI documents the request, and does not validate it: OpenAI's SDKs cannot read its errors (422, `{"detail": ...}`), and would show no
message, type and code (docs/contract.md, Errors). The app closes the gateway in its lifespan: `async with gateway: yield`.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from pydantic import BaseModel

from completions_mw.adapters.asgi import Send, answer
from completions_mw.adapters.asgi_client import Message, Receive, Scope
from completions_mw.adapters.support import check_gateway, needs
from completions_mw.core.routes import ABSENT, Routes
from completions_mw.gateway import AsyncGateway
from completions_mw.schemas import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatRequest,
    EmbeddingRequest,
    EmbeddingResponse,
    ModelCard,
    ModelList,
)

with needs("fastapi"):
    from fastapi import APIRouter, HTTPException, Request, Response, Security
    from fastapi.routing import APIRoute
    from fastapi.security import HTTPBearer
    from starlette.requests import ClientDisconnect
    from starlette.routing import Match, Route

    from completions_mw.adapters.starlette import MODEL

# The gateway refuses these methods with OpenAI's error, after the dependencies of the router.
METHODS_BUT_POST: Final = ("GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE")
METHODS_BUT_GET: Final = ("HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE")
KEY_SCHEME: Final = HTTPBearer(
    auto_error=False, scheme_name="ApiKeyAuth", description="An API key of this service, or the login of the app."
)


class GatewayErrorObject(BaseModel):
    """An error, as in OpenAI's API."""

    message: str
    type: str
    param: str | None
    code: str | None


class GatewayErrorResponse(BaseModel):
    """The body of every response whose status is not 2xx."""

    error: GatewayErrorObject


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

    async def create_chat_completion(request: Request) -> Response:
        """Create a chat completion; with `stream`, as server-sent events.

        Reference: https://platform.openai.com/docs/api-reference/chat/create
        """
        return GatewayResponse(gateway, request, paths.chat)

    async def create_embeddings(request: Request) -> Response:
        """Create a vector for each input.

        Reference: https://platform.openai.com/docs/api-reference/embeddings/create
        """
        return GatewayResponse(gateway, request, paths.embeddings)

    async def list_models(request: Request) -> Response:
        """List the models that the caller may use."""
        return GatewayResponse(gateway, request, paths.models)

    async def retrieve_model(request: Request, model: str) -> Response:
        """Return one of the models that the caller may use."""
        return GatewayResponse(gateway, request, f"{paths.models}/{model}")

    async def refuse_absent(request: Request, absent: str) -> Response:
        response = gateway.refuse(request.method, f"{gateway.settings.prefix}/{absent}")
        return Response(response.body, response.status, dict(response.headers))

    streamed = {"text/event-stream": {"schema": self_contained(ChatCompletionChunk)}}
    completion = {"model": ChatCompletion, "description": "The completion, whole or as a stream.", "content": streamed}
    api.post(paths.chat, responses={200: completion}, openapi_extra=request_docs(ChatRequest))(create_chat_completion)
    api.post(paths.embeddings, responses={200: {"model": EmbeddingResponse}}, openapi_extra=request_docs(EmbeddingRequest))(
        create_embeddings
    )
    api.get(paths.models, responses={200: {"model": ModelList}})(list_models)
    api.get(paths.models + MODEL, responses={200: {"model": ModelCard}})(retrieve_model)
    api.api_route(paths.chat, methods=[*METHODS_BUT_POST], include_in_schema=False)(create_chat_completion)
    api.api_route(paths.embeddings, methods=[*METHODS_BUT_POST], include_in_schema=False)(create_embeddings)
    api.api_route(paths.models, methods=[*METHODS_BUT_GET], include_in_schema=False)(list_models)
    api.api_route(paths.models + MODEL, methods=[*METHODS_BUT_GET], include_in_schema=False)(retrieve_model)
    if paths.absent:
        path, methods = f"{gateway.settings.prefix}/{{absent:path}}", ["POST", *METHODS_BUT_POST]
        api.add_api_route(path, refuse_absent, methods=methods, include_in_schema=False, route_class_override=AbsentRoute)
    for path in (paths.chat, paths.embeddings, paths.models, paths.models + MODEL):
        api.routes.append(Route(path, OtherMethods(gateway, path), include_in_schema=False))
    return api


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


def request_docs(model: type[BaseModel]) -> dict[str, Any]:
    """Return the part of a path operation that documents its body; FastAPI itself does not parse the body."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": self_contained(model)}}}}


def self_contained(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema of `model` without references: FastAPI collects the definitions only of bodies that it parses."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})

    def inline(value: Any) -> Any:
        if isinstance(value, list):
            return [inline(item) for item in value]
        if not isinstance(value, Mapping):
            return value
        if "$ref" in value:
            return inline(definitions[value["$ref"].rpartition("/")[2]])
        return {name: inline(item) for name, item in value.items() if name != "discriminator"}

    inlined: dict[str, Any] = inline(schema)
    return inlined
