"""FastAPI: `app.include_router(router(gateway))`, with OpenAPI docs.

FastAPI documents the request but does not parse it: its own answers to a bad one (422, `{"detail": ...}`) lose message, type and code in
every OpenAI SDK (docs/contract.md, Errors). The app closes the gateway in its own lifespan: `async with gateway: yield`.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from completions_mw.adapters.asgi import Message, Receive, Scope, Send, answer
from completions_mw.adapters.support import check_gateway, needs
from completions_mw.core.routes import Routes
from completions_mw.gateway import AsyncGateway
from completions_mw.schemas import ChatCompletion, ChatCompletionChunk, ChatRequest, ModelCard, ModelList

with needs("fastapi"):
    from fastapi import APIRouter, Request, Response, Security
    from fastapi.routing import APIRoute
    from fastapi.security import HTTPBearer
    from starlette.requests import ClientDisconnect
    from starlette.routing import Match

OTHER_THAN_POST: Final = ("GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE")
OTHER_THAN_GET: Final = ("HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE")
"""Refused by the gateway, in its own words. OPTIONS stays the host app's."""
KEY: Final = HTTPBearer(auto_error=False, scheme_name="ApiKeyAuth", description="A key of the gateway, or the host app's own login.")


class GatewayErrorObject(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class GatewayErrorResponse(BaseModel):
    """The body of every answer that is not 2xx (docs/contract.md, Errors)."""

    error: GatewayErrorObject


def router(gateway: AsyncGateway) -> APIRouter:
    """Return the gateway's paths as a router; it may be included below a prefix, and its dependencies run as everywhere.

    Raises:
        TypeError: the gateway is not an async one.
    """
    check_gateway(gateway, AsyncGateway)
    paths = Routes(gateway.settings.prefix)
    api = APIRouter(
        route_class=ExactRoute,
        dependencies=[Security(KEY)],
        responses={"4XX": {"model": GatewayErrorResponse}, "5XX": {"model": GatewayErrorResponse}},
    )

    async def create_chat_completion(request: Request) -> Response:
        """Answer a conversation, whole or, with `stream`, as it comes."""
        return GatewayResponse(gateway, request, paths.chat)

    async def list_models(request: Request) -> Response:
        """List the models that the key may use."""
        return GatewayResponse(gateway, request, paths.models)

    async def retrieve_model(request: Request, model: str) -> Response:
        """Describe one model."""
        return GatewayResponse(gateway, request, f"{paths.models}/{model}")

    api.post(paths.chat, responses={200: _completion_docs()}, openapi_extra=_request_docs())(create_chat_completion)
    api.get(paths.models, responses={200: {"model": ModelList}})(list_models)
    api.get(paths.models + "/{model:path}", responses={200: {"model": ModelCard}})(retrieve_model)
    api.api_route(paths.chat, methods=[*OTHER_THAN_POST], include_in_schema=False)(create_chat_completion)
    api.api_route(paths.models, methods=[*OTHER_THAN_GET], include_in_schema=False)(list_models)
    api.api_route(paths.models + "/{model:path}", methods=[*OTHER_THAN_GET], include_in_schema=False)(retrieve_model)
    return api


class ExactRoute(APIRoute):
    """A route that takes its path to the letter (docs/promises.md): a `path` parameter may be empty, and `$` forgives a newline."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child_scope = super().matches(scope)
        exact = child_scope.get("path_params", {}).get("model") != "" and not scope.get("path", "").endswith("\n")
        return (match, child_scope) if exact else (Match.NONE, {})


class GatewayResponse(Response):
    """What an endpoint returns: the gateway's answer, which is only made when FastAPI sends it.

    Args:
        gateway: answers.
        request: of FastAPI.
        path: the request's path as the gateway knows it, wherever the router is included.
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
    """Return what receives a request again, also after a dependency has read its body."""
    pieces = request.stream()

    async def next_message() -> Message:
        try:
            piece = await anext(pieces, None)
        except ClientDisconnect:
            return {"type": "http.disconnect"}
        return await receive() if piece is None else {"type": "http.request", "body": piece, "more_body": bool(piece)}

    return next_message


def _request_docs() -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": self_contained(ChatRequest)}}}}


def _completion_docs() -> dict[str, Any]:
    streamed = {"schema": self_contained(ChatCompletionChunk)}
    return {"model": ChatCompletion, "description": "The answer.", "content": {"text/event-stream": streamed}}


def self_contained(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema of `model` with every definition in its place: FastAPI collects those of parsed bodies only."""
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
