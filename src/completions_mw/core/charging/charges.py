"""The life of a charge: admitted, reserved, checkpointed while it streams, settled."""

from collections.abc import Callable, Coroutine
from typing import Any

from completions_mw.core.budgets.budgets import Budgets
from completions_mw.core.charging.charge import Charge
from completions_mw.core.charging.maintenance import Maintenance
from completions_mw.core.charging.max_cost import MaxCost
from completions_mw.core.context import RequestContext
from completions_mw.core.costs.estimate import TokenEstimate
from completions_mw.core.dispatch.catalog import CatalogModel
from completions_mw.core.keys.caller import Caller
from completions_mw.core.limits.limiter import LimitSet, RateLimiter, split
from completions_mw.core.ports import Background, Entry, Ledger, Outcome
from completions_mw.core.telemetry.observer import Observer
from completions_mw.errors import GatewayError


class Charges:
    """Opens a charge for each request, and settles it.

    Args:
        limiter: counts requests, tokens and concurrency.
        max_cost: prices requests beforehand.
        budgets: reserves money.
        ledger: keeps a row of each request; None to keep none.
        maintenance: renews what requests hold.
        background: finishes what a cancelled request has begun; None where all stores are in memory, so that nothing is half done.
        observer: told of overages.
    """

    def __init__(
        self,
        limiter: RateLimiter,
        max_cost: MaxCost,
        budgets: Budgets,
        ledger: Ledger | None,
        maintenance: Maintenance,
        background: Background | None,
        observer: Observer,
    ) -> None:
        self._limiter = limiter
        self._max_cost = max_cost
        self._budgets = budgets
        self._ledger = ledger
        self._maintenance = maintenance
        self._background = background
        self._observer = observer

    def open(
        self, context: RequestContext, caller: Caller | None, model: CatalogModel, estimate: Callable[[int], TokenEstimate]
    ) -> Charge | None:
        """Return what a request will be charged to, of which nothing is held yet; None where nothing is counted.

        Args:
            context: of the request.
            caller: who asks; None for the host app itself.
            model: that is asked.
            estimate: returns the tokens that the request may take, from the model's maximum of an answer.
        """
        limits = self._limiter.limits_of(caller, model.name)
        budgets = self._budgets.budgets_for(caller)
        is_priced = bool(budgets) or self._max_cost.applies(caller)
        if limits is None and not is_priced and self._ledger is None:
            return None
        scope, key, tenant = ("app", "", "") if caller is None else (caller.scope, caller.id, caller.tenant)
        entry = Entry(context.id, scope, key, tenant, model.name, context.stream, int(context.clock.time() * 1000))
        tokens = estimate(model.max_output_tokens)
        return Charge(context, entry, caller, model, tokens, limits, budgets, self._ledger, self._maintenance.deferred)

    async def admit(self, context: RequestContext, charge: Charge) -> None:
        """Charge a request to its limits on requests and concurrency.

        Raises:
            RateLimitError: one of them refuses; nothing is held.
            ServiceUnavailableError: the store does not answer.
        """
        if charge.limits is not None:
            await self._grant(charge, charge.entry.request_id, split(charge.limits)[0])
        self._maintenance.watch(charge)

    async def reserve(self, context: RequestContext, charge: Charge) -> None:
        """Reserve the tokens and the money that an admitted request may take.

        Raises:
            InvalidRequestError: the request may cost more than one request may.
            PermissionDeniedError: the model has no price, and that is a reason to refuse the request.
            RateLimitError: a limit on tokens or a budget refuses. In each case nothing is held any more.
            ServiceUnavailableError: a store does not answer.
        """
        try:
            self._price(charge)
            if charge.limits is not None and charge.limits.counts_tokens:
                # A name of its own, since the store charges each name once.
                await self._grant(charge, f"{charge.entry.request_id}:tokens", split(charge.limits)[1])
        except BaseException:
            await self.release(context, charge)
            raise
        await self._reserve_money(charge)

    async def admit_and_reserve(self, context: RequestContext, charge: Charge) -> None:
        """Admit a request and reserve for it: all of its limits in one call of the store, or none of them.

        Raises:
            InvalidRequestError: the request may cost more than one request may.
            PermissionDeniedError: the model has no price, and that is a reason to refuse the request.
            RateLimitError: a limit or a budget refuses. In each case nothing is held.
            ServiceUnavailableError: a store does not answer.
        """
        self._price(charge)
        if charge.limits is not None:
            await self._grant(charge, charge.entry.request_id, charge.limits)
        await self._reserve_money(charge)

    async def release(self, context: RequestContext, charge: Charge) -> None:
        """Give back what a request holds that goes no further; the ledger keeps no row of it."""
        charge.is_open = False
        self._maintenance.forget(charge)
        if charge.holds_limits:
            await self._complete(self._give_back(charge, 0))

    async def settle(self, context: RequestContext, charge: Charge, usage: dict[str, Any] | None, error: BaseException | None) -> None:
        """Post what a request has used, and give back the rest, even if the request is cancelled meanwhile. The first call counts.

        Args:
            context: of the request.
            charge: what the request holds.
            usage: as answered or estimated; None where there was no answer.
            error: how the request failed; None where it completed.
        """
        if not charge.is_open:
            return
        charge.is_open = False
        self._maintenance.forget(charge)
        tokens, estimated = charge.used(usage, error)
        total = tokens.prompt + tokens.completion
        if self._ledger is not None:
            await self._complete(self._post(self._ledger, charge, total, charge.outcome(tokens, estimated, error)))
        elif charge.holds_limits:
            await self._complete(self._give_back(charge, total))

    def _price(self, charge: Charge) -> None:
        if charge.budgets or self._max_cost.applies(charge.caller):
            budgeted = bool(charge.budgets)
            charge.amount = self._max_cost.amount(charge.model, charge.estimate, charge.caller, budgeted=budgeted)

    async def _grant(self, charge: Charge, id: str, limits: LimitSet) -> None:
        entry = charge.entry
        try:
            grant = await self._limiter.admit(id, limits, charge.estimate, entry.model, entry.tenant)
        except GatewayError:
            raise
        except BaseException:
            # Cancelled while the store was deciding: it may have let the request in.
            await self._complete(self._limiter.finish(id, 0))
            raise
        charge.grants = (*charge.grants, grant)
        charge.holds_limits = charge.holds_limits or grant.is_returned
        charge.context.headers = (*charge.context.headers, *grant.headers)

    async def _reserve_money(self, charge: Charge) -> None:
        if charge.budgets and charge.amount:
            try:
                await self._budgets.reserve(charge.entry, charge.amount, charge.budgets, charge.context)
            except GatewayError:
                await self.release(charge.context, charge)
                raise
            except BaseException as error:
                # Cancelled while the ledger was deciding: it may hold the money.
                await self.settle(charge.context, charge, None, error)
                raise
            charge.reserved = charge.amount
        self._maintenance.watch(charge)

    async def _post(self, ledger: Ledger, charge: Charge, tokens: int, outcome: Outcome) -> None:
        if charge.reserved is not None and outcome.cost > charge.reserved:
            # The upstream billed more than it was asked for at most (docs/promises.md, Money).
            details = {"target": outcome.target, "reserved_nano_usd": charge.reserved, "cost_nano_usd": outcome.cost}
            self._observer.noted("over_reservation", charge.context, **details)
        try:
            if charge.holds_limits:
                await self._give_back(charge, tokens)
        finally:
            changes = await ledger.settle(charge.entry, outcome)
        await self._budgets.notify(changes, charge.context)

    async def _give_back(self, charge: Charge, tokens: int) -> None:
        for grant in charge.grants:
            if grant.is_returned:
                await self._limiter.finish(grant.id, tokens)

    def _complete(self, work: Coroutine[Any, Any, None]) -> Coroutine[Any, Any, None]:
        return work if self._background is None else self._background.complete(work)
