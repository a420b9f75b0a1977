"""The pipeline: the steps of a request, in their order.

    authenticate      find the caller, by its key or by the host app's login            core.keys
    parse             read and validate the body, in the dialect of the route           core.inbound, core.validation
    resolve           find the model and its targets                                    core.dispatch.catalog
    admit             check the limits on requests and concurrency                      core.charging, core.limits
    cache             look for a stored answer, or join the call of an equal request    core.cache
    reserve           reserve tokens and money                                          core.charging, core.limits, core.budgets
    dispatch          ask targets in order until one answers                            core.dispatch
    relay             pass the answer to the client, chunk by chunk                     core.streaming
    settle            post the usage, and give back the rest of the reservation         core.charging

Without a cache, `admit` and `reserve` are one call.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from math import inf
from typing import Any, Final

from pydantic_core import from_json

from completions_mw.core.answers.usage import usage_of_error
from completions_mw.core.cache import FlightReader, KnownRequest, ResponseCache
from completions_mw.core.cache.directives import NO_DIRECTIVES, CacheControl, parse_cache_control
from completions_mw.core.charging import CachedAnswers, Charge, Charges
from completions_mw.core.context import RequestContext
from completions_mw.core.costs import estimate_request
from completions_mw.core.dispatch import Attempts, Catalog, CatalogModel, Dispatcher, Embedder
from completions_mw.core.dispatch.parameters import dropped_by
from completions_mw.core.explain import explain
from completions_mw.core.inbound import ChatCompletions, Dialect, Embeddings
from completions_mw.core.keys import Authenticator, Caller
from completions_mw.core.ports import Clock, StoredAnswer
from completions_mw.core.routes import GET, MODELS, Route, Routes
from completions_mw.core.streaming import ChunkSource, ChunkStream, PatientConnection, StreamBody, StreamEnd, StreamRules
from completions_mw.core.streaming.chunks import OpenedAnswer
from completions_mw.core.streaming.replay import Replay
from completions_mw.core.telemetry import Observer
from completions_mw.core.validation import ValidRequest, parse_headers
from completions_mw.core.validation.body import discard_body, read_body
from completions_mw.core.validation.headers import CLOSE_HEADERS, check_entity
from completions_mw.errors import ClientDisconnectedError, GatewayError, InternalError, NotCachedError, server_shutdown_error
from completions_mw.http import ClientConnection, Request, Response
from completions_mw.providers.base import Completion
from completions_mw.schemas import ModelList
from completions_mw.schemas.explanation import Explanation
from completions_mw.settings import Settings
from completions_mw.settings.types import ModelKind

UNSHARED_HEADERS: Final = (("cache-control", "private, no-store"),)
"""Headers of answers that depend on the caller, so that no proxy or browser gives them to another."""
_STREAMS: Final = (ChunkStream, FlightReader)


class Pipeline:
    """Answers requests: HTTP requests, and direct calls from Python. Awaits nothing but ports.

    Args:
        settings: prefix of the routes, maximum size of a body, and whether logs may quote exceptions.
        dialect: dialect of chat completions and their direct calls, and of the errors of routes without a dialect.
        embeddings: dialect of embeddings and their direct calls.
        authenticator: finds callers.
        catalog: finds models.
        charges: admits, reserves and settles.
        clock: time, for request contexts.
        observer: observer of each step.
        streaming: bounds of streams.
        attempts: asks the targets of models.
        cache: response cache; None where answers are not cached.
        dialects: dialects of further routes.
    """

    def __init__(
        self,
        settings: Settings,
        dialect: ChatCompletions,
        embeddings: Embeddings,
        authenticator: Authenticator,
        catalog: Catalog,
        charges: Charges,
        clock: Clock,
        observer: Observer,
        streaming: StreamRules,
        attempts: Attempts,
        *,
        cache: ResponseCache | None = None,
        dialects: Sequence[Dialect] = (),
    ) -> None:
        self._chat = dialect
        self._embeddings = embeddings
        every: tuple[Dialect, ...] = (dialect, embeddings, *dialects)
        self._dialects = {one.path: one for one in every}
        self.routes = Routes(settings.prefix, self._dialects)
        self.authenticator = authenticator
        self._catalog = catalog
        self._charges = charges
        self._clock = clock
        self._observer = observer
        self._streaming = streaming
        # A direct call reads when it likes: no client holds a connection of a server open.
        self._direct_streaming = streaming._replace(send_timeout=inf)
        self._max_body_bytes = settings.max_body_bytes
        self._debug = settings.debug
        self._cache = cache
        self._cached_answers = None if cache is None else CachedAnswers(cache, charges, observer, self._end)
        # If the observer wants to know of steps, each is wrapped once, and not at each request.
        self._authenticate = observer.around("authenticate", authenticator.authenticate)
        self._read = observer.around("parse", self._parse)
        self._admit_and_reserve = observer.around("admit", charges.reserve)
        self._dispatch: dict[ModelKind, Callable[..., Awaitable[Completion | OpenedAnswer]]] = {
            "chat": observer.around("dispatch", Dispatcher(attempts).answer),
            "embeddings": observer.around("dispatch", Embedder(attempts).answer),
        }
        self._settle = observer.around("settle", charges.settle)

    async def handle(self, request: Request) -> Response[StreamBody]:
        """Answer an HTTP request. The only place where errors become responses."""
        debug = request.debug if self._debug is None else self._debug
        context = RequestContext.begin(self._clock, is_http=True, debug=debug)
        if self._observer.observes_steps:
            self._observer.started("request", context)
        dialect: Dialect = self._chat
        try:
            route = self.routes.find(request.method, request.path)
            dialect = self._dialects.get(route.name, dialect)
            response = await self._respond(context, request, route, dialect)
        except Exception as error:
            self._end(context, error)
            response = dialect.error_response(error if isinstance(error, GatewayError) else InternalError())
        except BaseException as error:
            if not self._streaming.background.is_stop(error):
                # The client has left.
                self._end(context, error)
                raise
            stopped = server_shutdown_error()
            self._end(context, stopped)
            response = dialect.error_response(stopped)
        body = response.body
        headers = (*response.headers, *context.response_headers())
        if not context.has_body and CLOSE_HEADERS[0] not in headers:
            headers = (*headers, *await discard_body(request))
        if isinstance(body, bytes) and response.headers is not dialect.stream_headers:
            headers = (*headers, ("content-length", str(len(body))))
        # Some servers send the body of a HEAD's response, which its client would take for the start of the next response.
        return Response(response.status, headers, b"" if request.method == "HEAD" else body)

    def refuse(self, method: str, path: str) -> Response[bytes]:
        """Return the response to a request for a path that no route has; its body is left to the host app."""
        context = RequestContext.begin(self._clock, is_http=True)
        error = self.routes.not_found(method, path)
        self._end(context, error)
        response = self._chat.error_response(error)
        headers = (*response.headers, *context.response_headers(), ("content-length", str(len(response.body))))
        return Response(response.status, headers, b"" if method == "HEAD" else response.body)

    async def complete(
        self, fields: Mapping[str, Any], caller: Caller | None, control: CacheControl = NO_DIRECTIVES
    ) -> tuple[Completion, RequestContext]:
        """Answer a direct call from Python with a whole answer.

        Args:
            fields: fields of the request.
            caller: the caller; None for the host app itself.
            control: what the call wants of the cache.

        Raises:
            GatewayError: the request failed; the error is the one that an HTTP client would get.
        """
        answer, context = await self._call(self._chat, {**fields, "stream": False}, caller, control)
        assert isinstance(answer, Completion)
        return answer, context

    async def embed(
        self, fields: Mapping[str, Any], caller: Caller | None, control: CacheControl = NO_DIRECTIVES
    ) -> tuple[Completion, RequestContext]:
        """Answer a direct call from Python with embeddings.

        Args:
            fields: fields of the request.
            caller: the caller; None for the host app itself.
            control: what the call wants of the cache.

        Raises:
            GatewayError: the request failed; the error is the one that an HTTP client would get.
        """
        answer, context = await self._call(self._embeddings, fields, caller, control)
        assert isinstance(answer, Completion)
        return answer, context

    async def stream(
        self, fields: Mapping[str, Any], caller: Caller | None, control: CacheControl = NO_DIRECTIVES
    ) -> tuple[ChunkSource, RequestContext]:
        """Answer a direct call from Python with a stream.

        Args:
            fields: fields of the request.
            caller: the caller; None for the host app itself.
            control: what the call wants of the cache.

        Raises:
            GatewayError: the request failed before its first chunk; the error is the one that an HTTP client would get.
        """
        answer, context = await self._call(self._chat, {**fields, "stream": True}, caller, control)
        assert not isinstance(answer, Completion)
        return answer, context

    def models(self, caller: Caller | None) -> ModelList:
        """Return the models that a caller may use; all for None, the host app itself."""
        return self._catalog.visible(caller)

    async def _call(
        self, dialect: ChatCompletions | Embeddings, fields: Mapping[str, Any], caller: Caller | None, control: CacheControl
    ) -> tuple[Completion | ChunkSource, RequestContext]:
        context = RequestContext.begin(self._clock, debug=bool(self._debug))
        if self._observer.observes_steps:
            self._observer.started("request", context)
        if caller is not None:
            context.caller, context.tenant = caller.id, caller.tenant or None
        try:
            parsed: ValidRequest = dialect.parse_fields(fields)
            if parsed.ignored:
                context.note_ignored(parsed.ignored)
            answer = await self._answer(context, parsed, caller, None, control, self._direct_streaming)
        except BaseException as error:
            self._end(context, error)
            raise
        if isinstance(answer, _STREAMS):
            return answer, context
        self._end(context, None)
        if isinstance(answer, Completion):
            return answer, context
        if parsed.stream:
            return Replay(answer, include_usage=parsed.include_usage), context
        return Completion(from_json(answer.body), answer.body), context

    async def _respond(self, context: RequestContext, request: Request, route: Route, dialect: Dialect) -> Response[StreamBody]:
        if request.method == "OPTIONS":
            self._end(context, None)
            return Response(200, (("allow", ", ".join(route.methods)), ("content-type", "text/plain")), b"")
        headers = parse_headers(request.headers)
        context.client_request_id = headers.client_request_id
        if headers.timeout_ms is not None:
            context.deadline = context.started + headers.timeout_ms / 1000
        caller, is_by_key = await self._authenticate(context, headers, request)
        if route.methods == GET:
            models = self._catalog.visible(caller) if route.name == MODELS else None
            card = models or self._catalog.resolve(self.routes.model_id(request.path), caller).card()
            self._end(context, None)
            return Response(200, (*dialect.headers, *UNSHARED_HEADERS), card.model_dump_json().encode())
        check_entity(headers, self._max_body_bytes, declared=not is_by_key)
        body, parsed = await self._read(context, request, headers.content_length, dialect)
        if parsed.ignored:
            context.note_ignored(parsed.ignored)
        control = NO_DIRECTIVES if headers.cache_control is None else parse_cache_control(headers.cache_control)
        if isinstance(parsed, KnownRequest):
            found = None if headers.is_dry_run else await self._recall(context, parsed, caller, control)
            if found is not None:
                return self._replayed(context, parsed, dialect, found)
            parsed = dialect.parse(body)
        if headers.is_dry_run:
            explanation = await explain(self._catalog, self._charges, self._cached_answers, context, parsed, caller, control)
            self._end(context, None)
            return Response(200, (*dialect.headers, *UNSHARED_HEADERS), explanation.model_dump_json().encode())
        answer = await self._answer(context, parsed, caller, request, control, self._streaming)
        if isinstance(answer, _STREAMS):
            return Response(200, dialect.stream_headers, StreamBody(answer, dialect))
        if isinstance(answer, Completion):
            self._end(context, None)
            return Response(200, dialect.headers, dialect.render(answer))
        # What a target did not get of a request is worked out anew each time, from its fields.
        if self._cache is not None and context.cache == "hit" and not context.dropped:
            model = self._catalog.resolve(parsed.model, caller)
            estimate = estimate_request(parsed, model.max_output_tokens, model.media)
            self._cache.known_bodies.add(dialect.path, body, KnownRequest.of(parsed, estimate))
        return self._replayed(context, parsed, dialect, answer)

    async def _parse(
        self, context: RequestContext, request: Request, length: int | None, dialect: Dialect
    ) -> tuple[bytes, ValidRequest | KnownRequest]:
        """Return the body of a request, and the request in it."""
        body = await read_body(request, length, self._max_body_bytes)
        context.has_body = True
        known = None if self._cache is None else self._cache.known_bodies.find(dialect.path, body)
        return body, known or dialect.parse(body)

    async def _recall(
        self, context: RequestContext, known: KnownRequest, caller: Caller | None, control: CacheControl
    ) -> StoredAnswer | None:
        """Return the answer to a known request from the memory of this process, None if it takes the usual way."""
        assert self._cached_answers is not None
        model = self._catalog.resolve(known.model, caller)
        context.model, context.stream = model.name, known.stream
        charge = self._charges.open(context, caller, model, lambda *_: known.estimate)
        return await self._cached_answers.recall(context, known, caller, charge, control)

    def _replayed(
        self, context: RequestContext, asked: ValidRequest | KnownRequest, dialect: Dialect, answer: StoredAnswer
    ) -> Response[StreamBody]:
        """Return the response that has a stored answer."""
        body = dialect.replay(answer, stream=asked.stream, include_usage=asked.include_usage)
        self._end(context, None)
        return Response(200, dialect.stream_headers if asked.stream else dialect.headers, body)

    async def explain(self, fields: Mapping[str, Any], caller: Caller | None, control: CacheControl = NO_DIRECTIVES) -> Explanation:
        """Return what would happen to a direct call. No target is asked, and nothing is counted, charged or logged.

        Args:
            fields: fields of the request.
            caller: the caller; None for the host app itself.
            control: what the call wants of the cache.

        Raises:
            GatewayError: the request would be refused before its limits and budgets are asked.
        """
        context, parsed = RequestContext.begin(self._clock), self._chat.parse_fields(fields)
        return await explain(self._catalog, self._charges, self._cached_answers, context, parsed, caller, control)

    async def _answer(
        self,
        context: RequestContext,
        parsed: ValidRequest,
        caller: Caller | None,
        request: Request | None,
        control: CacheControl,
        streaming: StreamRules,
    ) -> Completion | ChunkStream | StoredAnswer | FlightReader:
        """Take a parsed request through the steps from `resolve` to its answer."""
        model = self._catalog.resolve(parsed.model, caller)
        model.check_kind(parsed.kind)
        context.model, context.stream = model.name, parsed.stream
        charge = self._charges.open(context, caller, model, partial(estimate_request, parsed))
        connection = None if request is None else request.connection
        ask = partial(self._ask, context, caller, model, charge, streaming)
        cached = self._cached_answers
        plan = None if cached is None else cached.plan(context, parsed, caller, charge, control)
        if cached is not None and plan is not None:
            answer = await cached.answer(context, parsed, charge, plan, ask, connection)
            if context.is_from_cache:
                context.dropped = dropped_by(model.route.targets, context.target, parsed)
            return answer
        if control.only_if_cached:
            raise NotCachedError
        if charge is not None:
            await self._admit_and_reserve(context, charge)
        return await ask(parsed, connection, None if request is None else request.disconnect)

    async def _ask(
        self,
        context: RequestContext,
        caller: Caller | None,
        model: CatalogModel,
        charge: Charge | None,
        streaming: StreamRules,
        parsed: ValidRequest,
        connection: ClientConnection | None,
        disconnect: Callable[[], None] | None = None,
    ) -> Completion | ChunkStream:
        """Ask the targets. Settle the request, unless its answer is a stream, which settles it at its end."""
        if charge is not None and charge.amount:
            # The upstream may not use more tokens than money was reserved for.
            parsed = parsed.capped(charge.estimate.per_choice)
        patient = None
        if connection is not None and streaming.finishing is not None:
            connection = patient = PatientConnection(connection, streaming.finishing, self._clock)
        try:
            answer = await self._dispatch[model.kind](context, model.route, model.name, parsed, caller, connection)
        except BaseException as error:
            # There is a usage where a target reported it for an answer that was cut.
            context.usage = context.usage or usage_of_error(error)
            if charge is not None:
                await self._settle(context, charge, context.usage, error)
            raise
        finally:
            if patient is not None:
                patient.release()
        if isinstance(answer, Completion):
            if charge is not None:
                await self._settle(context, charge, context.usage, None)
            return answer
        return ChunkStream(answer, charge, partial(self._end_stream, context, charge), streaming, disconnect)

    async def _end_stream(self, context: RequestContext, charge: Charge | None, end: StreamEnd) -> None:
        """Record the usage of an ended stream in its context, report its end, and settle it."""
        context.usage, context.estimated, context.finish_reason = end.usage, end.estimated, end.finish_reason
        error = end.error
        if isinstance(error, GatewayError):
            error.target = context.target
        if context.is_http and isinstance(error, GatewayError) and not isinstance(error, ClientDisconnectedError):
            self._observer.failed("target", context, error)
        self._end(context, error)
        if charge is not None:
            await self._settle(context, charge, end.usage, error)

    def _end(self, context: RequestContext, error: BaseException | None) -> None:
        context.is_open = False
        if error is None:
            self._observer.completed("request", context)
        else:
            self._observer.failed("request", context, error)
