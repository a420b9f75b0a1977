"""Base class of the two gateways: everything but how they wait."""

from datetime import datetime
from functools import partial
from typing import Any, TypeVar, get_args

from completions_mw.core.cache import ResponseCache
from completions_mw.core.cache.directives import CacheControl, parse_cache_control
from completions_mw.core.context import RequestContext
from completions_mw.core.keys.authentication import missing_key_error
from completions_mw.core.keys.caller import Caller, CallerLike, to_caller
from completions_mw.core.ports import Balance, UsageBy, UsageQuery, UsageRow
from completions_mw.core.resilience.store_health import StoreSnapshot
from completions_mw.core.streaming.body import ChunkSource
from completions_mw.core.streaming.finishing import Finishing
from completions_mw.core.streaming.reader import ChunkReader, as_gateway_errors, typed
from completions_mw.core.validation.body_room import BodyRoom
from completions_mw.core.validation.checking import prepare
from completions_mw.errors import ConfigurationError
from completions_mw.frames import private_locals
from completions_mw.gateway.backends import Backends
from completions_mw.gateway.options import GatewayOptions
from completions_mw.gateway.setup_warnings import SetupWarning
from completions_mw.gateway.wiring import Wiring
from completions_mw.http import Response
from completions_mw.schemas import ChatCompletion, EmbeddingResponse, ModelList
from completions_mw.schemas.base import WholeAnswer
from completions_mw.schemas.explanation import Explanation
from completions_mw.settings import Settings
from completions_mw.settings.types import ModelKind

AnswerT = TypeVar("AnswerT", bound=WholeAnswer)
SCOPES = ("key", "caller", "tenant")
"""Kinds of owners that a budget can have."""


class GatewayBase:
    """Base class of the two gateways: everything but how they wait."""

    def __init__(self, settings: Settings, backends: Backends, options: GatewayOptions) -> None:
        if not isinstance(settings, Settings):
            text = 'from a file by Settings.from_toml("completions.toml"), or from a mapping by Settings.from_mapping({...})'
            raise TypeError(f"`settings` should be a Settings, {text}, not {type(settings).__name__}")
        prepare()
        self.settings = settings
        self.body_room = BodyRoom(settings.max_buffered_bytes)
        """Memory for the bodies of all requests, for adapters."""
        with private_locals():
            self._wiring = Wiring(settings, backends, options)
        self._pipeline = self._wiring.pipeline
        self._direct_calls = self._wiring.direct_calls
        self.finishing: Finishing | None = self._wiring.finishing
        """Places for answers that are read to their end without their clients, for adapters; None where such answers are stopped."""

    @property
    def setup_warnings(self) -> tuple[SetupWarning, ...]:
        """Settings that are valid, and do not work as intended. Each warning is logged when the gateway is built."""
        return self._wiring.setup.warnings

    def note_processes(self) -> None:
        """Log once that limits in memory are not shared. Adapters call this if the server runs several processes."""
        self._wiring.setup.note_processes()

    @property
    def transport(self) -> str:
        """What calls the upstreams: `httptools`, `httpx2`, both where only some providers have a proxy, or the class that was given."""
        return self._wiring.models.transport

    @property
    def stores(self) -> tuple[StoreSnapshot, ...]:
        """State of each store, for health pages and metrics."""
        return self._wiring.stores.snapshots()

    def owns(self, method: str, path: str) -> bool:
        """Return whether a request is for this gateway. Adapters pass all others on to the host app."""
        return self._pipeline.routes.owns(method, path)

    def has_path(self, path: str) -> bool:
        """Return whether a path is one of this gateway's, whatever the method. Adapters that add routes to an app ask it."""
        return self._pipeline.routes.match(path) is not None

    def lacks(self, path: str) -> bool:
        """Return whether a path is one of OpenAI's API that this gateway does not have. Adapters replace the 404 of a host app there."""
        return path in self._pipeline.routes.absent

    def refuse(self, method: str, path: str) -> Response[bytes]:
        """Return the 404 for a path that this gateway `lacks`: OpenAI's error, with the paths that there are."""
        return self._pipeline.refuse(method, path)

    async def _caller(self, key: str | None, caller: CallerLike | None) -> Caller | None:
        if key is not None and caller is not None:
            raise TypeError("give either `key` or `caller`, not both")
        if key is not None:
            if not isinstance(key, str):
                raise TypeError(f"`key` should be the text of an API key, not {type(key).__name__}")
            return await self._pipeline.authenticator.authenticate_key(key)
        found = to_caller(caller)
        if found is None and caller is not None:
            # An empty id must not count as None, which is the app itself and may use every model.
            raise missing_key_error()
        return found

    async def _list(self, key: str | None, caller: CallerLike | None) -> ModelList:
        return self._direct_calls.models(await self._caller(key, caller))

    @property
    def _response_cache(self) -> ResponseCache:
        if self._wiring.cache is None:
            raise ConfigurationError("cache: needs `enabled` in the table [cache], or in that of a model")
        return self._wiring.cache

    async def _complete(self, fields: dict[str, Any], key: str | None, caller: CallerLike | None, cache: str | None) -> ChatCompletion:
        if fields.get("stream"):
            raise TypeError("complete() gives whole answers: use stream() instead of `stream=True`")
        control = _cache_control(cache)
        who = await self._caller(key, caller)
        with as_gateway_errors():
            completion, context = await self._direct_calls.answer("chat", {**fields, "stream": False}, who, control)
            return _noted(typed(ChatCompletion, completion.data), context)

    async def _embed(self, fields: dict[str, Any], key: str | None, caller: CallerLike | None, cache: str | None) -> EmbeddingResponse:
        control = _cache_control(cache)
        who = await self._caller(key, caller)
        with as_gateway_errors():
            completion, context = await self._direct_calls.answer("embeddings", fields, who, control)
            return _noted(typed(EmbeddingResponse, completion.data), context)

    async def _open(
        self, fields: dict[str, Any], key: str | None, caller: CallerLike | None, cache: str | None
    ) -> tuple[ChunkSource, RequestContext]:
        control = _cache_control(cache)
        who = await self._caller(key, caller)
        with as_gateway_errors():
            return await self._direct_calls.stream(fields, who, control)

    async def _explain(self, fields: dict[str, Any], key: str | None, caller: CallerLike | None, cache: str | None) -> Explanation:
        if (fields["messages"] is None) == (fields["input"] is None):
            raise TypeError("explain() needs either `messages` or `input`")
        control = _cache_control(cache)
        kind: ModelKind = "chat" if fields["input"] is None else "embeddings"
        return await self._direct_calls.explain(kind, fields, await self._caller(key, caller), control)

    def _reader(self, fields: dict[str, Any], key: str | None, caller: CallerLike | None, cache: str | None) -> ChunkReader:
        return ChunkReader(partial(self._open, fields, key, caller, cache))

    async def _usage(self, by: UsageBy, since: datetime | None, until: datetime | None, **only: str | None) -> list[UsageRow]:
        if by not in get_args(UsageBy):
            raise ValueError(f"`by` should be one of {', '.join(get_args(UsageBy))}")
        return await self._wiring.stores.ledger.usage(UsageQuery(by, _milliseconds(since), _milliseconds(until), **only))

    async def _balances(self, scope: str, id: str) -> list[Balance]:
        if scope not in SCOPES:
            raise ValueError(f"`scope` should be one of {', '.join(SCOPES)}")
        return await self._wiring.stores.ledger.balances(scope, id)

    async def _close(self) -> None:
        await self._wiring.aclose()


def _cache_control(cache: str | None) -> CacheControl:
    if cache is not None and not isinstance(cache, str):
        # `cache=False` must not be taken for None, which may answer from the cache.
        raise TypeError('`cache` should be a text as in the header Cache-Control, such as "no-store"')
    return parse_cache_control(cache or "")


def _milliseconds(instant: datetime | None) -> int | None:
    if instant is not None and not isinstance(instant, datetime):
        raise TypeError(f"`since` and `until` should be datetimes, not {type(instant).__name__}")
    return None if instant is None else round(instant.timestamp() * 1000)


def _noted(answer: AnswerT, context: RequestContext) -> AnswerT:
    """Return an answer that tells what HTTP clients are told by headers."""
    if context.is_from_cache or context.ignored or context.dropped:
        answer.note(cached=context.is_from_cache, ignored=context.ignored, dropped=context.dropped)
    return answer
