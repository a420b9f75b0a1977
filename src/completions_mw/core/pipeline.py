"""The pipeline: the steps of an HTTP request, in their order. Those from `resolve` on are in `core.steps`; direct calls take only them.

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

from collections.abc import Sequence
from typing import Final

from pydantic import BaseModel

from completions_mw.core.cache import FlightReader, KnownRequest
from completions_mw.core.cache.directives import NO_DIRECTIVES, parse_cache_control
from completions_mw.core.context import RequestContext
from completions_mw.core.dispatch import Catalog
from completions_mw.core.inbound import Dialect
from completions_mw.core.keys import Authenticator, Caller
from completions_mw.core.ports import Clock, StoredAnswer
from completions_mw.core.routes import GET, MODELS, Route, Routes
from completions_mw.core.steps import Steps
from completions_mw.core.streaming import ChunkStream, ResponseBody, StreamBody, StreamRules, WholeBody
from completions_mw.core.streaming.whole import LARGE
from completions_mw.core.telemetry import Observer
from completions_mw.core.validation import ValidRequest, parse_headers
from completions_mw.core.validation.body import check_body, discard_body
from completions_mw.core.validation.headers import CLOSE_HEADERS, RequestHeaders, check_entity
from completions_mw.errors import GatewayError, InternalError, server_shutdown_error
from completions_mw.http import Request, Response
from completions_mw.providers.base import Completion
from completions_mw.schemas import ModelCard, ModelList
from completions_mw.settings import Settings

UNSHARED_HEADERS: Final = (("cache-control", "private, no-store"),)
"""Headers of answers that depend on the caller, so that no proxy or browser gives them to another."""
_STREAMS: Final = (ChunkStream, FlightReader)


class Pipeline:
    """Answers HTTP requests. Awaits nothing but ports.

    Args:
        settings: prefix of the routes, maximum size of a body, and whether logs may quote exceptions.
        dialects: one for each route; the first one is also that of errors of routes without a dialect.
        authenticator: finds callers.
        catalog: finds models.
        clock: time, for request contexts.
        observer: observer of each step.
        streaming: bounds of streams.
        steps: takes requests to their answers.
    """

    def __init__(
        self,
        settings: Settings,
        dialects: Sequence[Dialect],
        authenticator: Authenticator,
        catalog: Catalog,
        clock: Clock,
        observer: Observer,
        streaming: StreamRules,
        steps: Steps,
    ) -> None:
        self._general = dialects[0]
        self._dialects = {dialect.path: dialect for dialect in dialects}
        self.routes = Routes(settings.prefix, self._dialects)
        self.authenticator = authenticator
        self._catalog = catalog
        self._clock = clock
        self._observer = observer
        self._streaming = streaming
        self._send_seconds = settings.request_timeout or settings.timeouts.total
        self._max_body_bytes = settings.max_body_bytes
        self._debug = settings.debug
        self._steps = steps
        # If the observer wants to know of steps, each is wrapped once, and not at each request.
        self._authenticate = observer.around("authenticate", authenticator.authenticate)
        self._read = observer.around("parse", self._parse)

    async def handle(self, request: Request) -> Response[ResponseBody]:
        """Answer an HTTP request. The only place where errors become responses."""
        debug = request.debug if self._debug is None else self._debug
        context = RequestContext(self._clock, is_http=True, debug=debug)
        if self._observer.observes_steps:
            self._observer.started("request", context)
        dialect = self._general
        try:
            route = self.routes.find(request.method, request.path)
            dialect = self._dialects.get(route.name, dialect)
            response = await self._respond(context, request, route, dialect)
        except Exception as error:
            self._steps.end(context, error)
            response = dialect.error_response(error if isinstance(error, GatewayError) else InternalError())
        except BaseException as error:
            if not self._streaming.background.is_stop(error):
                # The client has left.
                self._steps.end(context, error)
                raise
            stopped = server_shutdown_error()
            self._steps.end(context, stopped)
            response = dialect.error_response(stopped)
        body = response.body
        headers = [*response.headers, *context.response_headers()]
        if not context.has_body and CLOSE_HEADERS[0] not in headers:
            headers += await discard_body(request)
        if isinstance(body, bytes) and response.headers is not dialect.stream_headers:
            headers.append(("content-length", str(len(body))))
        if request.method == "HEAD":
            # Some servers send the body of its response, which its client would take for the start of the next response.
            body = b""
        elif isinstance(body, bytes) and len(body) > LARGE and request.disconnect is not None:
            body = WholeBody(body, self._streaming, self._send_seconds, request.disconnect, self._observer, context)
        return Response(response.status, tuple(headers), body)

    def refuse(self, method: str, path: str) -> Response[bytes]:
        """Return the response to a request for a path that no route has; its body is left to the host app."""
        context = RequestContext(self._clock, is_http=True)
        error = self.routes.not_found(method, path)
        self._steps.end(context, error)
        response = self._general.error_response(error)
        headers = (*response.headers, *context.response_headers(), ("content-length", str(len(response.body))))
        return Response(response.status, headers, b"" if method == "HEAD" else response.body)

    async def _respond(self, context: RequestContext, request: Request, route: Route, dialect: Dialect) -> Response[ResponseBody]:
        if request.method == "OPTIONS":
            self._steps.end(context, None)
            return Response(200, (("allow", ", ".join(route.methods)), ("content-type", "text/plain")), b"")
        headers = parse_headers(request)
        context.client_request_id = headers.client_request_id
        terms = headers.terms
        if terms.timeout_ms is not None:
            context.deadline = context.started + terms.timeout_ms / 1000
        caller, is_by_key = await self._authenticate(context, headers, request)
        if route.methods == GET:
            return self._unshared(context, dialect, self._models(route, request.path, caller))
        check_entity(headers, self._max_body_bytes, declared=not is_by_key)
        body, parsed = await self._read(context, request, headers, dialect, caller)
        if parsed.ignored:
            context.note_ignored(parsed.ignored)
        control = NO_DIRECTIVES if terms.cache_control is None else parse_cache_control(terms.cache_control)
        if isinstance(parsed, KnownRequest):
            found = await self._steps.recall(context, parsed, caller, control)
            if found is not None:
                return self._replayed(context, parsed, dialect, found)
            parsed = dialect.parse(body)
        if terms.is_dry_run:
            return self._unshared(context, dialect, await self._steps.explain(context, parsed, caller, control))
        answer = await self._steps.answer(context, parsed, caller, request, control, self._streaming)
        if isinstance(answer, _STREAMS):
            return Response(200, dialect.stream_headers, StreamBody(answer, dialect, self._streaming.background.is_stop))
        if isinstance(answer, Completion):
            self._steps.end(context, None)
            return Response(200, dialect.headers, dialect.render(answer))
        self._steps.remember(context, parsed, caller, dialect.path, body)
        return self._replayed(context, parsed, dialect, answer)

    async def _parse(
        self, context: RequestContext, request: Request, headers: RequestHeaders, dialect: Dialect, caller: Caller | None
    ) -> tuple[bytes, ValidRequest | KnownRequest]:
        """Return the body of a request, and the request in it; one that is known only if it is to be answered."""
        body = request.body if isinstance(request.body, bytes) else await request.body.read(self._max_body_bytes)
        if len(body) != headers.content_length:
            check_body(body, request, headers.content_length, self._max_body_bytes)
        context.has_body = True
        known = None if headers.terms.is_dry_run else self._steps.known(caller, dialect.path, body)
        return body, known or dialect.parse(body)

    def _models(self, route: Route, path: str, caller: Caller) -> ModelList | ModelCard:
        if route.name == MODELS:
            return self._catalog.visible(caller)
        return self._catalog.resolve(self.routes.model_id(path), caller).card()

    def _unshared(self, context: RequestContext, dialect: Dialect, answer: BaseModel) -> Response[ResponseBody]:
        """Return the response with an answer that depends on the caller, and has asked no target."""
        self._steps.end(context, None)
        return Response(200, (*dialect.headers, *UNSHARED_HEADERS), answer.model_dump_json().encode())

    def _replayed(
        self, context: RequestContext, asked: ValidRequest | KnownRequest, dialect: Dialect, answer: StoredAnswer
    ) -> Response[ResponseBody]:
        """Return the response that has a stored answer."""
        body = dialect.replay(answer, stream=asked.stream, include_usage=asked.include_usage)
        self._steps.end(context, None)
        return Response(200, dialect.stream_headers if asked.stream else dialect.headers, body)
