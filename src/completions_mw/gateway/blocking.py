"""The gateway for blocking code: `Gateway`."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal, Self, Unpack

from completions_mw.blocking import BlockingIterator, iterate, run_sync
from completions_mw.core.hooks import is_async
from completions_mw.core.keys.caller import CallerLike
from completions_mw.core.ports import Balance, UsageBy, UsageRow
from completions_mw.core.streaming.body import ResponseBody
from completions_mw.core.streaming.reader import BlockingChunks
from completions_mw.errors import ConfigurationError
from completions_mw.frames import private_locals
from completions_mw.gateway.backends import BlockingBackends
from completions_mw.gateway.base import GatewayBase
from completions_mw.gateway.cache import Cache
from completions_mw.gateway.keys import Keys
from completions_mw.gateway.options import GatewayOptions, check_options
from completions_mw.http import Request, Response
from completions_mw.schemas import ChatCompletion, EmbeddingResponse, Explanation, ModelList
from completions_mw.settings import Settings


class Gateway(GatewayBase):
    """Answers chat completions and embeddings in blocking code: WSGI apps, scripts, threads, greenlets.

    One gateway serves all threads. It opens no connection before the first request, so it may be built before a fork.

    Args:
        settings: from `Settings.from_toml`, `Settings.from_mapping`, `Settings.from_env` or `Settings(...)`; see docs/settings.md.
        **options: any of `GatewayOptions`:

            - models: Python functions as models, by the name that clients send.
            - embeddings: Python functions as embeddings models, by the name that clients send.
            - authenticate: the host app's own login, called with a `Request` that has no valid API key; returns a `Caller`, an id, or
              None to refuse.
            - providers: wire formats of the host app, instances of `CustomFormat`, by the `format` of their providers.
            - credentials: functions that return a bearer token, by the name of the provider that gets it.
            - transport: used for all calls to upstreams instead of the built-in HTTP client; the gateway does not close it.
            - on_budget: called with a `BudgetAlert` once when a budget reaches 50, 80 and 100 per cent, and when it refuses its first
              request.
            - semantic_cache: a cache of the host app for similar requests, with the methods `lookup` and `store` (docs/caching.md).

    Raises:
        ConfigurationError: the settings cannot work, or a function cannot be called, or is async.
        TypeError: `settings` is not a `Settings`, or an option is not known.
    """

    def __init__(self, settings: Settings, **options: Unpack[GatewayOptions]) -> None:
        check_options(options)
        for name in ("authenticate", "on_budget"):
            if is_async(options.get(name)):
                raise ConfigurationError(f"{name}: an async function needs an AsyncGateway")
        for provider, function in (options.get("credentials") or {}).items():
            if is_async(function):
                raise ConfigurationError(f"credentials.{provider}: an async function needs an AsyncGateway")
        semantic = options.get("semantic_cache")
        if any(is_async(getattr(semantic, name, None)) for name in ("lookup", "store")):
            raise ConfigurationError("semantic_cache: async methods need an AsyncGateway")
        super().__init__(settings, BlockingBackends(), options)

    def handle(self, request: Request) -> Response[BlockingIterator[bytes]]:
        """Answer an HTTP request. Failures become error responses, and are not raised."""
        response: Response[ResponseBody] = run_sync(self._pipeline.handle(request))
        body = response.body if isinstance(response.body, bytes) else iterate(response.body)
        return Response(response.status, response.headers, body)

    def complete(
        self,
        *,
        model: str,
        messages: Iterable[Any],
        key: str | None = None,
        caller: CallerLike | None = None,
        cache: str | None = None,
        **params: Any,
    ) -> ChatCompletion:
        """Return the whole answer to a conversation.

        Args:
            model: name of a model in the settings.
            messages: messages as in OpenAI's API, each a dict or the message of an earlier answer.
            key: API key of the caller, whose models, limits and budget apply.
            caller: caller without a key, as a `Caller` or an id. Without `key` and `caller` the caller is the app itself, which may use
                every model.
            cache: what the call wants of the cache, as the header `Cache-Control`: `no-store`, `no-cache`, `max-age=60`.
            **params: further parameters of OpenAI's API.

        Raises:
            GatewayError: the request failed; over HTTP, the same error would be the response.
        """
        call = self._complete({"model": model, "messages": messages, **params}, key, caller, cache)
        del messages, key, params
        with private_locals():
            return run_sync(call)

    def stream(
        self,
        *,
        model: str,
        messages: Iterable[Any],
        key: str | None = None,
        caller: CallerLike | None = None,
        cache: str | None = None,
        **params: Any,
    ) -> BlockingChunks:
        """Return an iterator over the chunks of the answer to a conversation. As a context manager it stops the answer.

        The request is sent when the first chunk is asked for.

        Args:
            model: name of a model in the settings.
            messages: messages as in OpenAI's API, each a dict or the message of an earlier answer.
            key: API key of the caller, whose models, limits and budget apply.
            caller: caller without a key, as a `Caller` or an id. Without `key` and `caller` the caller is the app itself, which may use
                every model.
            cache: what the call wants of the cache, as the header `Cache-Control`: `no-store`, `no-cache`, `max-age=60`.
            **params: further parameters of OpenAI's API.

        Raises:
            GatewayError: raised by the iterator: the request failed, or the answer was cut off.
        """
        return BlockingChunks(self._reader({"model": model, "messages": messages, **params}, key, caller, cache))

    def explain(
        self,
        *,
        model: str,
        messages: Iterable[Any] | None = None,
        input: str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]] | None = None,
        key: str | None = None,
        caller: CallerLike | None = None,
        cache: str | None = None,
        **params: Any,
    ) -> Explanation:
        """Return what would happen to a request: its targets, tokens, maximum cost, limits, budgets and cache key (docs/dry-runs.md).

        No target is asked, and nothing is counted or charged. A request with the header `X-Dry-Run: 1` gets the same.

        Args:
            model: name of a model in the settings.
            messages: messages as in OpenAI's API, each a dict or the message of an earlier answer; for a chat completion.
            input: a text, texts, the tokens of a text, or the tokens of several texts; for embeddings.
            key: API key of the caller, whose models, limits and budget apply.
            caller: caller without a key, as a `Caller` or an id. Without `key` and `caller` the caller is the app itself, which may use
                every model.
            cache: what the call wants of the cache, as the header `Cache-Control`: `no-store`, `no-cache`, `max-age=60`.
            **params: further parameters of OpenAI's API.

        Raises:
            GatewayError: the request would be refused before its limits and budgets are asked.
            TypeError: there are both `messages` and `input`, or neither.
        """
        call = self._explain({"model": model, "messages": messages, "input": input, **params}, key, caller, cache)
        del messages, input, key, params
        with private_locals():
            return run_sync(call)

    def embed(
        self,
        *,
        model: str,
        input: str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]],
        key: str | None = None,
        caller: CallerLike | None = None,
        cache: str | None = None,
        **params: Any,
    ) -> EmbeddingResponse:
        """Return a vector for each input.

        Args:
            model: name of an embeddings model in the settings.
            input: a text, texts, the tokens of a text, or the tokens of several texts.
            key: API key of the caller, whose models, limits and budget apply.
            caller: caller without a key, as a `Caller` or an id. Without `key` and `caller` the caller is the app itself, which may use
                every model.
            cache: what the call wants of the cache, as the header `Cache-Control`: `no-store`, `no-cache`, `max-age=60`.
            **params: further parameters of OpenAI's API: `dimensions`, `encoding_format`, `user`.

        Raises:
            GatewayError: the request failed; over HTTP, the same error would be the response.
        """
        call = self._embed({"model": model, "input": input, **params}, key, caller, cache)
        del input, key, params
        with private_locals():
            return run_sync(call)

    def models(self, *, key: str | None = None, caller: CallerLike | None = None) -> ModelList:
        """Return the models that a caller may use.

        Args:
            key: API key of the caller.
            caller: caller without a key, as a `Caller` or an id. Without `key` and `caller` the caller is the app itself.

        Raises:
            GatewayError: the key is not valid, or the key store is down.
        """
        call = self._list(key, caller)
        del key
        with private_locals():
            return run_sync(call)

    @property
    def keys(self) -> Keys:
        """The API keys in the ledger's database. The command `completions-mw keys` manages the same keys.

        Raises:
            ConfigurationError: the settings name no ledger.
        """
        return Keys(self._wiring.stores.keys.for_models(self._wiring.models.models))

    @property
    def cache(self) -> Cache:
        """The cached answers: to purge them, and to see how often they are used.

        Raises:
            ConfigurationError: the settings enable no caching.
        """
        return Cache(self._response_cache)

    def usage(
        self,
        by: UsageBy = "key",
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        key: str | None = None,
        tenant: str | None = None,
        model: str | None = None,
        caller: str | None = None,
    ) -> list[UsageRow]:
        """Return requests, tokens and cost, one row for each key or caller, tenant, model or day (UTC).

        Args:
            by: what the requests are grouped by: `key`, `tenant`, `model` or `day`.
            since: start of the period, inclusive.
            until: end of the period, exclusive.
            key: count only requests of the key with this id.
            tenant: count only requests of this tenant.
            model: count only requests for this model.
            caller: count only requests of the caller of the `authenticate` function with this id.

        Raises:
            ConfigurationError: the settings name no ledger.
            StoreError: the ledger cannot be read.
        """
        return run_sync(self._usage(by, since, until, key=key, tenant=tenant, model=model, caller=caller))

    def balances(self, id: str, scope: Literal["key", "caller", "tenant"] = "key") -> list[Balance]:
        """Return what is spent and reserved of the budgets of a key, caller or tenant, the newest period first.

        Args:
            id: id of the key, caller or tenant.
            scope: whether `id` is that of a key, a caller or a tenant.

        Raises:
            ConfigurationError: the settings name no ledger.
            StoreError: the ledger cannot be read.
        """
        return run_sync(self._balances(scope, id))

    def close(self) -> None:
        """Close connections and models. A gateway that is used again opens new ones."""
        run_sync(self._close())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
