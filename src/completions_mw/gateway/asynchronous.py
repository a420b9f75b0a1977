"""`AsyncGateway`: for async code."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal, Self, Unpack

from completions_mw.core.keys.caller import CallerLike
from completions_mw.core.ports import Balance, UsageBy, UsageRow
from completions_mw.core.streaming.body import StreamBody
from completions_mw.core.streaming.reader import ChunkReader
from completions_mw.gateway.backends import AsyncBackends
from completions_mw.gateway.base import GatewayBase
from completions_mw.gateway.keys import AsyncKeys
from completions_mw.gateway.options import GatewayOptions
from completions_mw.http import Request, Response
from completions_mw.schemas import ChatCompletion, ModelList
from completions_mw.settings import Settings


class AsyncGateway(GatewayBase):
    """Answer chat completions in async code: ASGI apps, asyncio scripts. Methods have the names that they have in `Gateway`.

    Args:
        settings: from `Settings.from_toml`, `Settings.from_mapping`, `Settings.from_env` or `Settings(...)`.
        **options: any of `GatewayOptions`:

            - models: Python functions as models, by the name that clients send; blocking ones run in threads.
            - authenticate: the host app's login, sync or async, called with the `Request` of a caller without a valid key; returns a
              `Caller`, an id or None.
            - transport: makes the calls to all upstreams instead of the built-in HTTP client; whoever made it closes it.
            - on_budget: called once with a `BudgetAlert` when a budget reaches 50, 80 and 100 per cent, or refuses its first
              request; sync or async.

    Raises:
        ConfigurationError: the settings ask for something that cannot work, or a function cannot be called.
        TypeError: `settings` is a path or a mapping instead, or an option is not known.
    """

    def __init__(self, settings: Settings, **options: Unpack[GatewayOptions]) -> None:
        super().__init__(settings, AsyncBackends(), options)

    async def handle(self, request: Request) -> Response[StreamBody]:
        """Answer an HTTP request; a faulty request gets an error response, and raises nothing."""
        return await self._pipeline.handle(request)

    async def complete(
        self, *, model: str, messages: Iterable[Any], key: str | None = None, caller: CallerLike | None = None, **params: Any
    ) -> ChatCompletion:
        """Answer chat messages, and return the whole completion.

        Args:
            model: a name of the settings.
            messages: as in the API: dicts, or messages of earlier answers.
            key: the API key to answer for; its rules apply.
            caller: somebody whom the app knows, by id or as a `Caller`, to answer for instead. Without a key and a caller the app itself
                asks, which may use every model.
            **params: all other parameters of the API.

        Raises:
            GatewayError: the same failure that HTTP would answer, as an exception.
        """
        return await self._complete({"model": model, "messages": messages, **params}, key, caller)

    def stream(
        self, *, model: str, messages: Iterable[Any], key: str | None = None, caller: CallerLike | None = None, **params: Any
    ) -> ChunkReader:
        """Answer chat messages, and return an async iterator over the chunks, which is also an async context manager that stops the answer.

        Arguments and errors as `complete`; the request is sent, and may fail, when the first chunk is asked for.
        """
        return self._reader({"model": model, "messages": messages, **params}, key, caller)

    async def models(self, *, key: str | None = None, caller: CallerLike | None = None) -> ModelList:
        """Return the models that a caller may use."""
        return await self._list(key, caller)

    @property
    def keys(self) -> AsyncKeys:
        """The API keys in the ledger's database: create, list, change and rotate them here or by `completions-mw keys`.

        Raises:
            ConfigurationError: the settings name no ledger.
        """
        return AsyncKeys(self._stores.keys.for_models(self._models.models))

    async def usage(
        self,
        by: UsageBy = "key",
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        key: str | None = None,
        tenant: str | None = None,
        model: str | None = None,
    ) -> list[UsageRow]:
        """Return requests, tokens and cost, a row for each key, tenant, model or day (UTC).

        Args:
            by: what one row stands for.
            since: start of the time, included.
            until: end of the time, not included.
            key: count only requests of the key or caller with this id.
            tenant: count only requests of this tenant.
            model: count only requests for this model.

        Raises:
            ConfigurationError: the settings name no ledger.
            StoreError: the ledger cannot be read.
        """
        return await self._usage(by, since, until, key=key, tenant=tenant, model=model)

    async def balances(self, id: str, scope: Literal["key", "caller", "tenant"] = "key") -> list[Balance]:
        """Return what is spent and reserved of the budgets of a key, caller or tenant, the newest period first.

        Args:
            id: of the key, caller or tenant.
            scope: which of the three `id` names.

        Raises:
            ConfigurationError: the settings name no ledger.
            StoreError: the ledger cannot be read.
        """
        return await self._balances(scope, id)

    async def close(self) -> None:
        """Close the connections of this event loop, and models. The gateway may be used again, and opens them anew."""
        await self._close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
