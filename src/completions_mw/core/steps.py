"""The steps of a parsed request, from its model to its settlement; `core.pipeline` lists them with those before."""

from collections.abc import Awaitable, Callable
from functools import partial

from completions_mw.core.answers.usage import usage_of_error
from completions_mw.core.cache import FlightReader, KnownRequest, ResponseCache
from completions_mw.core.cache.directives import CacheControl
from completions_mw.core.cache.known import FreeRecall
from completions_mw.core.cache.reader import Watch
from completions_mw.core.charging import CachedAnswers, Charge, Charges
from completions_mw.core.context import RequestContext
from completions_mw.core.costs import estimate_request
from completions_mw.core.dispatch import Attempts, Catalog, CatalogModel, Dispatcher, ask_chat, ask_embeddings
from completions_mw.core.dispatch.failures import tell_of_deadline
from completions_mw.core.dispatch.parameters import dropped_by
from completions_mw.core.explain import explain
from completions_mw.core.keys import Caller
from completions_mw.core.ports import Clock, StoredAnswer
from completions_mw.core.streaming import ChunkStream, PatientConnection, StreamEnd, StreamRules
from completions_mw.core.streaming.opening import OpenedAnswer
from completions_mw.core.telemetry import Observer
from completions_mw.core.validation import ValidRequest
from completions_mw.errors import ClientDisconnectedError, GatewayError, NotCachedError, RequestTimeoutError
from completions_mw.http import ClientConnection, Request
from completions_mw.providers.base import Completion
from completions_mw.schemas.explanation import Explanation
from completions_mw.settings.types import ModelKind


class Steps:
    """Takes parsed requests through the steps `resolve` to `settle`. Awaits nothing but ports.

    Args:
        catalog: finds models.
        charges: admits, reserves and settles.
        clock: time.
        observer: observer of each step.
        attempts: asks the targets of models.
        cache: response cache; None where answers are not cached.
    """

    def __init__(
        self, catalog: Catalog, charges: Charges, clock: Clock, observer: Observer, attempts: Attempts, cache: ResponseCache | None
    ) -> None:
        self._catalog = catalog
        self._charges = charges
        self._clock = clock
        self._observer = observer
        self._known_bodies = None if cache is None else cache.known_bodies
        self._cached_answers = None if cache is None else CachedAnswers(cache, charges, observer, self.end)
        # If the observer wants to know of steps, each is wrapped once, and not at each request.
        self._admit_and_reserve = observer.around("admit", charges.reserve)
        self._dispatch: dict[ModelKind, Callable[..., Awaitable[Completion | OpenedAnswer]]] = {
            "chat": observer.around("dispatch", Dispatcher(attempts, ask_chat).answer),
            "embeddings": observer.around("dispatch", Dispatcher(attempts, ask_embeddings).answer),
        }
        self._settle = observer.around("settle", charges.settle)

    async def answer(
        self,
        context: RequestContext,
        parsed: ValidRequest,
        caller: Caller | None,
        request: Request | None,
        control: CacheControl,
        streaming: StreamRules,
    ) -> Completion | ChunkStream | StoredAnswer | FlightReader:
        """Return the answer to a request; the reader of a streamed one settles it at its end.

        Args:
            context: request context.
            parsed: the request.
            caller: the caller; None for the host app itself.
            request: the HTTP request; None for a direct call.
            control: what the client wants of the cache.
            streaming: bounds of a stream.

        Raises:
            GatewayError: the request was refused, or nobody answers.
        """
        model = self._catalog.resolve(parsed.model, caller)
        model.check_kind(parsed.kind)
        context.model, context.stream = model.name, parsed.stream
        charge = self._charges.open(context, caller, model, partial(estimate_request, parsed))
        connection = None if request is None else request.connection
        ask = partial(self._ask, context, caller, model, charge, streaming)
        cached = self._cached_answers
        plan = None if cached is None else cached.plan(context, parsed, caller, charge, control)
        if cached is not None and plan is not None:
            watch = Watch(streaming, None if request is None else request.disconnect)
            answer = await cached.answer(context, parsed, charge, plan, ask, connection, watch)
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
            tell_of_deadline(error, context)
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

    def known(self, caller: Caller | None, path: str, body: bytes) -> KnownRequest | None:
        """Return the known request with this body, if it was answered from the cache before; None if the body must be parsed."""
        return None if self._known_bodies is None else self._known_bodies.find(path, caller, body)

    def remember(self, context: RequestContext, parsed: ValidRequest, caller: Caller | None, path: str, body: bytes) -> None:
        """Let `known` find the body of a request that was answered from the cache."""
        if self._known_bodies is None or context.cache != "hit":
            return
        model = self._catalog.resolve(parsed.model, caller)
        # What a target did not get of a request is worked out each time, from its fields: the next answer may be of another target.
        if not any(dropped_by(model.targets, target.name, parsed) for target in model.targets):
            estimate = estimate_request(parsed, model.max_output_tokens, model.media)
            self._known_bodies.add(path, caller, body, KnownRequest.of(parsed, estimate))

    def recall(
        self, context: RequestContext, known: KnownRequest, caller: Caller | None, control: CacheControl
    ) -> Awaitable[StoredAnswer | None]:
        """Return the answer to a known request from the memory of this process; None if its body must be parsed."""
        assert self._cached_answers is not None
        free = known.free
        if free is not None and free.caller is caller and free.control is control:
            context.model, context.stream = known.model, known.stream
            return self._cached_answers.recall(context, None, free.plan)
        model = self._catalog.resolve(known.model, caller)
        context.model, context.stream = model.name, known.stream
        charge = self._charges.open(context, caller, model, lambda *_: known.estimate)
        plan = self._cached_answers.foresee(known, caller, charge, control)
        if charge is None:
            known.free = FreeRecall(caller, control, plan)
        return self._cached_answers.recall(context, charge, plan)

    async def explain(self, context: RequestContext, parsed: ValidRequest, caller: Caller | None, control: CacheControl) -> Explanation:
        """Return what would happen to a request. No target is asked, and nothing is counted, charged or logged.

        Raises:
            GatewayError: the request would be refused before its limits and budgets are asked.
        """
        return await explain(self._catalog, self._charges, self._cached_answers, context, parsed, caller, control)

    def end(self, context: RequestContext, error: BaseException | None) -> None:
        """Report the end of a request to the observer."""
        context.is_open = False
        if error is None:
            self._observer.completed("request", context)
        else:
            self._observer.failed("request", context, error)

    async def _end_stream(self, context: RequestContext, charge: Charge | None, end: StreamEnd) -> None:
        """Record the usage of an ended stream in its context, report its end, and settle it."""
        context.usage, context.estimated, context.finish_reason, context.unread = end.usage, end.estimated, end.finish_reason, end.unread
        error = end.error
        tell_of_deadline(error, context)
        if isinstance(error, GatewayError):
            error.target = context.target
        is_clients = isinstance(error, ClientDisconnectedError | RequestTimeoutError)
        if context.is_http and isinstance(error, GatewayError) and not is_clients:
            self._observer.failed("target", context, error)
        self.end(context, error)
        if charge is not None:
            await self._settle(context, charge, end.usage, error)
