"""Direct calls from Python: they take the steps of HTTP requests from `resolve` on, and need no server."""

from collections.abc import Mapping
from math import inf
from typing import Any

from pydantic_core import from_json

from completions_mw.core.cache import FlightReader
from completions_mw.core.cache.directives import NO_DIRECTIVES, CacheControl
from completions_mw.core.context import RequestContext
from completions_mw.core.dispatch import Catalog
from completions_mw.core.inbound import ChatCompletions, Embeddings
from completions_mw.core.keys import Caller
from completions_mw.core.ports import Clock
from completions_mw.core.steps import Steps
from completions_mw.core.streaming import ChunkSource, ChunkStream, StreamRules
from completions_mw.core.streaming.replay import Replay
from completions_mw.core.telemetry import Observer
from completions_mw.core.validation import ValidRequest
from completions_mw.providers.base import Completion
from completions_mw.schemas import ModelList
from completions_mw.schemas.explanation import Explanation
from completions_mw.settings.types import ModelKind


class DirectCalls:
    """Answers direct calls, of the host app itself or in the name of a caller. Awaits nothing but ports.

    Args:
        chat: reads the fields of chat completions.
        embeddings: reads the fields of embeddings.
        catalog: finds models.
        clock: time, for request contexts.
        observer: told when a call begins.
        streaming: bounds of streams.
        steps: takes requests to their answers.
        debug: whether logs may quote exceptions.
    """

    def __init__(
        self,
        chat: ChatCompletions,
        embeddings: Embeddings,
        catalog: Catalog,
        clock: Clock,
        observer: Observer,
        streaming: StreamRules,
        steps: Steps,
        *,
        debug: bool = False,
    ) -> None:
        self._dialects: dict[ModelKind, ChatCompletions | Embeddings] = {"chat": chat, "embeddings": embeddings}
        self._catalog = catalog
        self._clock = clock
        self._observer = observer
        # A direct call reads when it likes: no client holds a connection of a server open.
        self._streaming = streaming._replace(send_timeout=inf)
        self._steps = steps
        self._debug = debug

    async def answer(
        self, kind: ModelKind, fields: Mapping[str, Any], caller: Caller | None, control: CacheControl = NO_DIRECTIVES
    ) -> tuple[Completion, RequestContext]:
        """Return a whole answer.

        Args:
            kind: what the fields ask for.
            fields: fields of the request; they do not ask for a stream.
            caller: the caller; None for the host app itself.
            control: what the call wants of the cache.

        Raises:
            GatewayError: the request failed; the error is the one that an HTTP client would get.
        """
        answer, context = await self._answer(kind, fields, caller, control)
        assert isinstance(answer, Completion)
        return answer, context

    async def stream(
        self, fields: Mapping[str, Any], caller: Caller | None, control: CacheControl = NO_DIRECTIVES
    ) -> tuple[ChunkSource, RequestContext]:
        """Return a streamed chat completion.

        Args:
            fields: fields of the request.
            caller: the caller; None for the host app itself.
            control: what the call wants of the cache.

        Raises:
            GatewayError: the request failed before its first chunk; the error is the one that an HTTP client would get.
        """
        answer, context = await self._answer("chat", {**fields, "stream": True}, caller, control)
        assert not isinstance(answer, Completion)
        return answer, context

    async def explain(self, kind: ModelKind, fields: Mapping[str, Any], caller: Caller | None, control: CacheControl) -> Explanation:
        """Return what would happen to a call. No target is asked, and nothing is counted, charged or logged.

        Args:
            kind: what the fields ask for.
            fields: fields of the request.
            caller: the caller; None for the host app itself.
            control: what the call wants of the cache.

        Raises:
            GatewayError: the request would be refused before its limits and budgets are asked.
        """
        context, parsed = RequestContext(self._clock), self._dialects[kind].parse_fields(fields)
        return await self._steps.explain(context, parsed, caller, control)

    def models(self, caller: Caller | None) -> ModelList:
        """Return the models that a caller may use; all for None, the host app itself."""
        return self._catalog.visible(caller)

    async def _answer(
        self, kind: ModelKind, fields: Mapping[str, Any], caller: Caller | None, control: CacheControl
    ) -> tuple[Completion | ChunkSource, RequestContext]:
        context = RequestContext(self._clock, debug=self._debug)
        if self._observer.observes_steps:
            self._observer.started("request", context)
        if caller is not None:
            context.caller, context.tenant = caller.id, caller.tenant or None
        try:
            parsed: ValidRequest = self._dialects[kind].parse_fields(fields)
            context.note_ignored(parsed.ignored)
            answer = await self._steps.answer(context, parsed, caller, None, control, self._streaming)
        except BaseException as error:
            self._steps.end(context, error)
            raise
        if isinstance(answer, ChunkStream | FlightReader):
            return answer, context
        self._steps.end(context, None)
        if isinstance(answer, Completion):
            return answer, context
        if parsed.stream:
            return Replay(answer, include_usage=parsed.include_usage), context
        return Completion(from_json(answer.body), answer.body), context
