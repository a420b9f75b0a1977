"""The gateway of blocking code."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from inspect import iscoroutinefunction
from typing import Any, Literal, Self

from completions_mw.blocking import BlockingIterator, iterate, run_sync
from completions_mw.core.budgets.budgets import OnBudget
from completions_mw.core.keys.authentication import Authenticate
from completions_mw.core.keys.caller import CallerLike
from completions_mw.core.ports import Balance, ModelFunction, Transport, UsageBy, UsageRow
from completions_mw.core.streaming.body import StreamBody
from completions_mw.errors import ConfigurationError
from completions_mw.gateway.backends import BlockingBackends
from completions_mw.gateway.base import GatewayBase
from completions_mw.gateway.keys import Keys
from completions_mw.http import Request, Response
from completions_mw.schemas import ChatCompletion, ChatCompletionChunk, ModelList
from completions_mw.settings import Settings


class Gateway(GatewayBase):
    """Answers chat completions in blocking code: WSGI apps, scripts, threads, greenlets.

    One gateway serves all threads. It opens nothing until the first request, so it may be made before a fork.

    Args:
        settings: from a file, a mapping or code; README, "Settings".
        models: Python functions as models, by the name that clients send.
        authenticate: the host app's login, called with the `Request` of a caller without a valid key; returns a `Caller`, an id or None.
        transport: instead of the built-in one, for all upstreams; the caller closes it.
        on_budget: told once, by a `BudgetAlert`, when a budget reaches 50, 80 and 100 per cent.

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
        if iscoroutinefunction(on_budget):
            raise ConfigurationError("on_budget: an async function needs an AsyncGateway")
        super().__init__(settings, BlockingBackends(), models, authenticate, transport, on_budget)

    def handle(self, request: Request) -> Response[BlockingIterator[bytes]]:
        """Answer a request of HTTP; never raises for what is wrong with the request."""
        response: Response[StreamBody] = run_sync(self._pipeline.handle(request))
        body = response.body if isinstance(response.body, bytes) else iterate(response.body)
        return Response(response.status, response.headers, body)

    def complete(
        self, *, model: str, messages: Iterable[Any], key: str | None = None, caller: CallerLike | None = None, **params: Any
    ) -> ChatCompletion:
        """Return the whole answer.

        Args:
            model: a name of the settings.
            messages: as in the API: dicts, or messages of earlier answers.
            key: the API key to answer for; its rules apply.
            caller: the same for somebody that the app knows, by id or as a `Caller`; neither is the app itself, which may use every model.
            **params: all other parameters of the API.

        Raises:
            GatewayError: the same failure that HTTP would answer, as an exception.
        """
        return run_sync(self._complete({"model": model, "messages": messages, **params}, key, caller))

    def stream(
        self, *, model: str, messages: Iterable[Any], key: str | None = None, caller: CallerLike | None = None, **params: Any
    ) -> BlockingIterator[ChatCompletionChunk]:
        """Return an iterator over the answer's chunks, which is also a context manager that stops the answer.

        Arguments and errors as `complete`; the request is sent, and may fail, when the first chunk is asked for.
        """
        return iterate(self._reader({"model": model, "messages": messages, **params}, key, caller))

    def models(self, *, key: str | None = None, caller: CallerLike | None = None) -> ModelList:
        """Return the models that a caller may use."""
        return run_sync(self._list(key, caller))

    @property
    def keys(self) -> Keys:
        """The keys that are kept in the ledger's database: made, listed, changed and rotated here or by `completions-mw keys`.

        Raises:
            ConfigurationError: the settings name no ledger.
        """
        return Keys(self._stores.keys)

    def usage(
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
        return run_sync(self._usage(by, since, until, key=key, tenant=tenant, model=model))

    def balances(self, id: str, scope: Literal["key", "caller", "tenant"] = "key") -> list[Balance]:
        """Return how the budgets of a key, caller or tenant stand, the newest period first; errors as `usage`."""
        return run_sync(self._balances(scope, id))

    def close(self) -> None:
        """Close connections and models. The gateway may be used again: it opens them anew."""
        run_sync(self._close())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
