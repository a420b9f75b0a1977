"""The life of a request's charge: admit, reserve, checkpoint, settle (DESIGN section 4)."""

from collections.abc import Coroutine
from typing import Any

from completions_mw.core.budgets.budgets import AppliedBudget, Budgets
from completions_mw.core.charging.charge import Charge
from completions_mw.core.charging.maintenance import Maintenance
from completions_mw.core.charging.max_cost import MaxCost
from completions_mw.core.context import RequestContext
from completions_mw.core.costs.estimate import estimate_request
from completions_mw.core.dispatch.catalog import CatalogModel
from completions_mw.core.keys.caller import Caller
from completions_mw.core.limits.limiter import LimitSet, RateLimiter
from completions_mw.core.ports import Background, Entry, Ledger, Outcome, Tokens
from completions_mw.core.validation.request import Chat
from completions_mw.errors import GatewayError


class Charges:
    """Opens a charge for each request, and settles it.

    Args:
        limiter: counts requests and tokens.
        tariff: prices requests beforehand.
        budgets: reserves money.
        ledger: keeps a row of each request; None to keep none.
        upkeep: renews what requests hold.
        background: finishes what a cancelled request has begun; None where no store waits for anything, so that nothing is half done.
    """

    def __init__(
        self,
        limiter: RateLimiter,
        tariff: MaxCost,
        budgets: Budgets,
        ledger: Ledger | None,
        maintenance: Maintenance,
        background: Background | None,
    ) -> None:
        self._limiter = limiter
        self._tariff = tariff
        self._budgets = budgets
        self._ledger = ledger
        self._maintenance = maintenance
        self._background = background

    async def open(self, chat: Chat, caller: Caller | None, model: CatalogModel, exchange: RequestContext) -> tuple[Chat, Charge | None]:
        """Let a request in and reserve what it may cost.

        Returns:
            The request, with the maximum of tokens that its price is for; and its charge, None where nothing is counted.

        Raises:
            RateLimitError: a limit or a budget refuses it; nothing is held.
            InvalidRequestError: it may cost more than one request may.
            PermissionDeniedError: nobody knows what the model costs.
            ServiceUnavailableError: nobody can tell at the moment.
        """
        limits = self._limiter.limits_of(caller, model.name)
        shares = self._budgets.budgets_for(caller)
        is_priced = bool(shares) or self._tariff.applies(caller)
        if limits is None and not is_priced and self._ledger is None:
            return chat, None
        estimate = estimate_request(chat, model.max_output_tokens)
        amount = self._tariff.amount(model, chat, estimate, caller, budgeted=bool(shares)) if is_priced else 0
        charge = Charge(self, _entry(caller, model, exchange), model, exchange, estimate)
        if limits is not None:
            await self._admit(charge, limits)
        if shares and amount:
            await self._reserve(charge, shares, amount)
        self._maintenance.watch(charge)
        return (chat.capped(estimate.per_choice) if amount else chat), charge

    async def checkpoint(self, request_id: str, amount: int, tokens: Tokens) -> None:
        """Note what a stream has cost so far."""
        if self._ledger is not None:
            await self._ledger.checkpoint(request_id, amount, tokens)

    async def settle(self, charge: Charge, tokens: Tokens, estimated: bool, error: BaseException | None) -> None:
        """Post what a request used, even if it is cancelled meanwhile."""
        self._maintenance.forget(charge)
        total = tokens.prompt + tokens.completion
        if self._ledger is not None:
            await self._complete(self._post(self._ledger, charge, total, charge.outcome(tokens, estimated, error)))
        elif charge.holds_limits:
            await self._complete(self._limiter.finish(charge.entry.request_id, total))

    async def _post(self, ledger: Ledger, charge: Charge, tokens: int, outcome: Outcome) -> None:
        if charge.reserved is not None and outcome.cost > charge.reserved:
            charge.exchange.log_overage(charge.reserved, outcome.cost)
        try:
            if charge.holds_limits:
                await self._limiter.finish(charge.entry.request_id, tokens)
        finally:
            changes = await ledger.settle(charge.entry, outcome)
        await self._budgets.notify(changes, charge.exchange)

    def _complete(self, work: Coroutine[Any, Any, None]) -> Coroutine[Any, Any, None]:
        return work if self._background is None else self._background.complete(work)

    async def _admit(self, charge: Charge, limits: LimitSet) -> None:
        entry = charge.entry
        try:
            charge.admitted = await self._limiter.admit(entry.request_id, limits, charge.estimate, entry.model, entry.tenant)
        except GatewayError:
            raise
        except BaseException:
            # Cancelled while the store was deciding: it may have let the request in.
            await self._complete(self._limiter.finish(entry.request_id, 0))
            raise
        charge.exchange.limit_headers = charge.admitted.headers

    async def _reserve(self, charge: Charge, shares: tuple[AppliedBudget, ...], amount: int) -> None:
        try:
            await self._budgets.reserve(charge.entry, amount, shares, charge.exchange)
        except GatewayError as error:
            if charge.holds_limits:
                await self._complete(self._limiter.finish(charge.entry.request_id, 0))
            raise error
        except BaseException as error:
            await charge.settle(None, error)
            raise
        charge.reserved = amount


def _entry(caller: Caller | None, model: CatalogModel, exchange: RequestContext) -> Entry:
    scope, key, tenant = ("app", "", "") if caller is None else (caller.scope, caller.id, caller.tenant)
    started_ms = int(exchange.clock.time() * 1000)
    return Entry(exchange.id, scope, key, tenant, model.name, exchange.stream, started_ms)
