"""The gateway of async code."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, Self

from completions_mw.core.budgets.budgets import OnBudget
from completions_mw.core.keys.authentication import Authenticate
from completions_mw.core.keys.caller import CallerLike
from completions_mw.core.ports import Balance, ModelFunction, Transport, UsageBy, UsageRow
from completions_mw.core.streaming.body import StreamBody
from completions_mw.core.streaming.reader import ChunkReader
from completions_mw.gateway.backends import AsyncBackends
from completions_mw.gateway.base import GatewayBase
from completions_mw.gateway.keys import AsyncKeys
from completions_mw.http import Request, Response
from completions_mw.schemas import ChatCompletion, ModelList
from completions_mw.settings import Settings


class AsyncGateway(GatewayBase):
    """Answers chat completions in async code: ASGI apps, asyncio; the same names as `Gateway`.

    Args:
        settings: from a file, a mapping or code; README, "Settings".
        models: Python functions as models, by the name that clients send; blocking ones run in threads.
        authenticate: the host app's login, sync or async, called with the `Request` of a caller without a valid key; returns a `Caller`,
            an id or None.
        transport: instead of the built-in one, for all upstreams; the caller closes it.
        on_budget: told once, by a `BudgetAlert`, when a budget reaches 50, 80 and 100 per cent; may be async.

    Raises:
        ConfigurationError: the settings ask for something that cannot work, or a function cannot be called with a request.
        TypeError: `settings` is a path or a mapping instead.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        models: Mapping[str, ModelFunction] | None = None,
        authenticate: Authenticate | None = None,
        transport: Transport | None = None,
        on_budget: OnBudget | None = None,
    ) -> None:
        super().__init__(settings, AsyncBackends(), models, authenticate, transport, on_budget)

    async def handle(self, request: Request) -> Response[StreamBody]:
        """Answer a request of HTTP; never raises for what is wrong with the request."""
        return await self._pipeline.handle(request)

    async def complete(
        self, *, model: str, messages: Iterable[Any], key: str | None = None, caller: CallerLike | None = None, **params: Any
    ) -> ChatCompletion:
        """Return the whole answer. Arguments and errors as `Gateway.complete`."""
        return await self._complete({"model": model, "messages": messages, **params}, key, caller)

    def stream(
        self, *, model: str, messages: Iterable[Any], key: str | None = None, caller: CallerLike | None = None, **params: Any
    ) -> ChunkReader:
        """Return an async iterator over the answer's chunks, which is also an async context manager that stops the answer.

        Arguments and errors as `complete`; the request is sent, and may fail, when the first chunk is asked for.
        """
        return self._reader({"model": model, "messages": messages, **params}, key, caller)

    async def models(self, *, key: str | None = None, caller: CallerLike | None = None) -> ModelList:
        """Return the models that a caller may use."""
        return await self._list(key, caller)

    @property
    def keys(self) -> AsyncKeys:
        """The keys that are kept in the ledger's database: made, listed, changed and rotated here or by `completions-mw keys`.

        Raises:
            ConfigurationError: the settings name no ledger.
        """
        return AsyncKeys(self._stores.keys)

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
        """Return what was used, a row for each key, tenant, model or day (UTC).

        Args:
            by: what the rows are for.
            since: the first moment that counts.
            until: the first that does not count any more.
            key: only requests of this key or caller.
            tenant: only those of this tenant.
            model: only those for this model.

        Raises:
            ConfigurationError: the settings name no ledger.
            StoreError: the ledger cannot be read.
        """
        return await self._usage(by, since, until, key=key, tenant=tenant, model=model)

    async def balances(self, id: str, scope: Literal["key", "caller", "tenant"] = "key") -> list[Balance]:
        """Return how the budgets of a key, caller or tenant stand, the newest period first; errors as `usage`."""
        return await self._balances(scope, id)

    async def close(self) -> None:
        """Close the connections of this event loop, and models. The gateway may be used again: it opens them anew."""
        await self._close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
