"""What happens to a request, step by step: the order is the design (DESIGN section 4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic_core import to_json

from completions_mw.core.charging.charge import Charge
from completions_mw.core.charging.charges import Charges
from completions_mw.core.context import RequestContext
from completions_mw.core.dispatch import dispatch
from completions_mw.core.dispatch.catalog import Catalog, CatalogModel
from completions_mw.core.keys.authentication import Authenticator, incorrect_key_error
from completions_mw.core.keys.caller import Caller
from completions_mw.core.ports import Clock
from completions_mw.core.routes import Route, Routes
from completions_mw.core.streaming.chunks import ChunkStream
from completions_mw.core.streaming.sse_body import SseBody
from completions_mw.core.validation.headers import (
    RequestHeaders,
    body_too_large_error,
    parse_headers,
    require_json,
    require_length,
    require_whole,
)
from completions_mw.core.validation.json_body import Bounds, parse_json_body
from completions_mw.core.validation.request import Chat, UnknownParams, normalise, validate
from completions_mw.errors import (
    ClientDisconnectedError,
    GatewayError,
    InternalError,
    MethodNotAllowedError,
    NotFoundError,
    error_response,
)
from completions_mw.http import ClientConnection, Headers, Request, Response
from completions_mw.providers.base import Completion
from completions_mw.schemas import ModelList

JSON_HEADERS = (("content-type", "application/json"),)
STREAM_HEADERS = (
    ("content-type", "text/event-stream; charset=utf-8"),
    ("cache-control", "no-cache"),
    # Asks nginx and its like not to collect the stream before passing it on.
    ("x-accel-buffering", "no"),
)


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that the pipeline itself reads."""

    unknown_params: UnknownParams
    max_body_bytes: int
    bounds: Bounds
    debug: bool


class Pipeline:
    """The core: requests in, responses out. Awaits nothing but its ports."""

    def __init__(self, routes: Routes, authenticator: Authenticator, catalog: Catalog, meter: Charges, rules: Rules, clock: Clock) -> None:
        self.routes = routes
        self._authenticator = authenticator
        self._catalog = catalog
        self._meter = meter
        self._rules = rules
        self._clock = clock

    async def handle(self, request: Request) -> Response[SseBody]:
        """Answer a request of HTTP. The only place where failures become responses."""
        exchange = RequestContext.begin(self._clock, self._rules.debug)
        try:
            response = await self._answer(request, exchange)
        except GatewayError as error:
            response = error_response(error)
            exchange.log_access(error.status, error.code)
        except Exception as error:
            exchange.log_failure(error)
            response = error_response(InternalError())
            exchange.log_access(response.status, InternalError.code)
        except BaseException:
            # The task was cancelled: no answer, and still a line in the log.
            exchange.log_access(ClientDisconnectedError.status, ClientDisconnectedError.code)
            raise
        # Some servers send what they are given, and the client of a HEAD would take it for the start of its next answer.
        body = b"" if request.method == "HEAD" else response.body
        return Response(response.status, (*response.headers, *_length(response), *exchange.headers()), body)

    async def complete(self, fields: Mapping[str, Any], caller: Caller | None) -> Completion:
        """Answer a direct call of Python with the whole answer.

        Raises:
            GatewayError: as `handle` answers it.
        """
        exchange = self._begin(caller)
        chat = self._validate(normalise(fields, self._rules.bounds))
        return await self._complete(chat, caller, exchange, None)

    async def stream(self, fields: Mapping[str, Any], caller: Caller | None) -> ChunkStream:
        """Answer a direct call of Python with the answer as it arrives.

        Raises:
            GatewayError: as `handle` answers it.
        """
        exchange = self._begin(caller)
        chat = self._validate({**normalise(fields, self._rules.bounds), "stream": True})
        return await self._stream(chat, caller, exchange, None, logged=False)

    async def authenticate_key(self, key: str) -> Caller:
        """Return who a key belongs to.

        Raises:
            AuthenticationError: nobody.
            ServiceUnavailableError: the stored keys cannot be read.
        """
        caller = await self._authenticator.find(key)
        if caller is None:
            raise incorrect_key_error(key)
        return caller

    def models(self, caller: Caller | None) -> ModelList:
        """Return the models that `caller` may use."""
        return self._catalog.visible(caller)

    async def _answer(self, request: Request, exchange: RequestContext) -> Response[SseBody]:
        route = self.routes.match(request.path)
        if route is None:
            raise NotFoundError(f"Invalid URL ({request.method[:16]} {request.path[:256]})")
        if request.method != route.method:
            raise MethodNotAllowedError(
                f"Not allowed to {request.method[:16]} on {request.path[:256]} (HINT: use {route.method}).", allow=route.method
            )
        head = parse_headers(request.headers)
        exchange.client_request_id = head.client_request_id
        caller, by_key = await self._authenticator.authenticate(head, request)
        exchange.caller, exchange.tenant = caller.id, caller.tenant
        if route is Route.CHAT:
            require_json(head, declared=not by_key)
            require_length(head, self._rules.max_body_bytes)
            return await self._chat(request, head, caller, exchange)
        return self._list(route, request.path, caller, exchange)

    def _list(self, route: Route, path: str, caller: Caller, exchange: RequestContext) -> Response[SseBody]:
        if route is Route.MODELS:
            body = self._catalog.visible(caller).model_dump_json()
        else:
            body = self._catalog.resolve(self.routes.model_id(path), caller).card().model_dump_json()
        exchange.log_access(200)
        return Response(200, JSON_HEADERS, body.encode())

    async def _chat(self, request: Request, head: RequestHeaders, caller: Caller, exchange: RequestContext) -> Response[SseBody]:
        rules = self._rules
        body = request.body if isinstance(request.body, bytes) else await request.body.read(rules.max_body_bytes)
        if len(body) > rules.max_body_bytes:
            raise body_too_large_error(rules.max_body_bytes)
        require_whole(head, body)
        chat = self._validate(parse_json_body(body, rules.bounds))
        if chat.stream:
            chunks = await self._stream(chat, caller, exchange, request.connection, logged=True)
            return Response(200, STREAM_HEADERS, SseBody(chunks))
        completion = await self._complete(chat, caller, exchange, request.connection)
        answer = completion.raw or to_json(completion.data, inf_nan_mode="null")
        exchange.log_access(200)
        return Response(200, JSON_HEADERS, answer)

    async def _complete(
        self, chat: Chat, caller: Caller | None, exchange: RequestContext, connection: ClientConnection | None
    ) -> Completion:
        model = self._resolve(chat, caller, exchange)
        chat, charge = await self._meter.open(chat, caller, model, exchange)
        if charge is None:
            return await dispatch.complete(model, chat, exchange, connection)
        try:
            completion = await dispatch.complete(model, chat, exchange, connection)
        except BaseException as error:
            await charge.settle(None, error)
            raise
        await charge.settle(exchange.usage, None)
        return completion

    async def _stream(
        self, chat: Chat, caller: Caller | None, exchange: RequestContext, connection: ClientConnection | None, *, logged: bool
    ) -> ChunkStream:
        model = self._resolve(chat, caller, exchange)
        chat, charge = await self._meter.open(chat, caller, model, exchange)
        try:
            chunks = await dispatch.stream(model, chat, exchange, connection)
        except BaseException as error:
            if charge is not None:
                await charge.settle(None, error)
            raise
        if charge is not None:
            chunks.checkpoints, charge.usage = charge, chunks.usage_so_far
        chunks.on_end = partial(_end, exchange, chunks, charge, logged)
        return chunks

    def _begin(self, caller: Caller | None) -> RequestContext:
        exchange = RequestContext.begin(self._clock, self._rules.debug)
        if caller is not None:
            exchange.caller, exchange.tenant = caller.id, caller.tenant
        return exchange

    def _validate(self, fields: dict[str, Any]) -> Chat:
        return validate(fields, unknown_params=self._rules.unknown_params)

    def _resolve(self, chat: Chat, caller: Caller | None, exchange: RequestContext) -> CatalogModel:
        model = self._catalog.resolve(chat.model, caller)
        exchange.model = model.name
        exchange.stream = chat.stream
        return model


async def _end(exchange: RequestContext, chunks: ChunkStream, charge: Charge | None, logged: bool, error: BaseException | None) -> None:
    """Keep what a stream has used: in the log, for requests of HTTP, and where it is charged."""
    exchange.usage, exchange.estimated, exchange.finish_reason = chunks.usage, chunks.estimated, chunks.finish_reason
    if logged:
        exchange.log_end(error)
    if charge is not None:
        await charge.settle(exchange.usage, error)


def _length(response: Response[SseBody]) -> Headers:
    return (("content-length", str(len(response.body))),) if isinstance(response.body, bytes) else ()
