"""Charges requests: opens a charge for each, admits, reserves and settles it."""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, ParamSpec

from completions_mw.core.budgets.budgets import Budgets
from completions_mw.core.charging.charge import Accounting, Charge
from completions_mw.core.charging.maintenance import Maintenance
from completions_mw.core.charging.max_cost import MaxCost
from completions_mw.core.charging.used import Bill, UsedTokens
from completions_mw.core.context import RequestContext
from completions_mw.core.costs.media import MediaRules
from completions_mw.core.costs.tokens import NO_ESTIMATE, TokenEstimate
from completions_mw.core.dispatch.catalog import CatalogModel
from completions_mw.core.keys.caller import Caller
from completions_mw.core.keys.scopes import own_scope
from completions_mw.core.limits.limit_set import LimitSet
from completions_mw.core.limits.limiter import RateLimiter
from completions_mw.core.ports import Background, Balance, Entry, Ledger, Outcome, Settlement
from completions_mw.core.telemetry.observer import Observer
from completions_mw.errors import GatewayError

P = ParamSpec("P")


class Charges:
    """Opens a charge for each request, admits, reserves and settles it.

    Args:
        limiter: limits on requests, tokens and concurrency.
        max_cost: maximum cost of requests.
        used: tells what requests have used.
        budgets: budgets in which money is reserved.
        ledger: ledger that keeps a row of each request; None to keep none.
        maintenance: renews leases and reservations.
        background: completes calls of stores whose request is cancelled; None if all stores are in memory, where no call is interrupted.
        observer: observer of requests that cost more than they reserved.
    """

    def __init__(
        self,
        limiter: RateLimiter,
        max_cost: MaxCost,
        used: UsedTokens,
        budgets: Budgets,
        ledger: Ledger | None,
        maintenance: Maintenance,
        background: Background | None,
        observer: Observer,
    ) -> None:
        self._limiter = limiter
        self._max_cost = max_cost
        self._used = used
        self._budgets = budgets
        self._ledger = ledger
        self._maintenance = maintenance
        self._observer = observer
        self._accounting = Accounting(ledger, used, maintenance.defer)
        self._finish = _uninterrupted(limiter.finish, background)
        self._settle = _uninterrupted(self._post, background)

    def open(
        self,
        context: RequestContext,
        caller: Caller | None,
        model: CatalogModel,
        estimate: Callable[[int, tuple[MediaRules, ...]], TokenEstimate],
    ) -> Charge | None:
        """Return the charge of a request, which holds nothing yet; None where requests are not counted.

        Args:
            context: request context.
            caller: the caller; None for the host app itself.
            model: model that the client asked for.
            estimate: returns the tokens that the request may use, given the `max_output_tokens` and the `media` of the model.
        """
        limits = self._limiter.limits_of(caller, model.name)
        budgets = self._budgets.budgets_for(caller)
        is_priced = bool(budgets) or self._max_cost.applies(caller)
        if limits is None and not is_priced and self._ledger is None:
            return None
        is_metered = is_priced or self._ledger is not None or (limits is not None and limits.counts_tokens)
        tokens = estimate(model.max_output_tokens, model.media) if is_metered else NO_ESTIMATE
        entry = None if self._ledger is None else _entry(context, caller, model.name)
        charge = Charge(context, entry, caller, model, tokens, limits, budgets, self._accounting)
        charge.is_metered, charge.is_priced = is_metered, is_priced
        return charge

    async def admit(self, context: RequestContext, charge: Charge) -> None:
        """Charge a request to its limits on requests and concurrency, before `reserve` charges it to the others.

        Raises:
            RateLimitError: a limit is exceeded; the request holds nothing.
            ServiceUnavailableError: the admission store does not answer.
        """
        if charge.limits is not None:
            await self._grant(charge, context.id, charge.limits.admission)
        charge.is_admitted = True
        self._maintenance.watch(charge)

    async def reserve(self, context: RequestContext, charge: Charge) -> None:
        """Reserve the tokens and the money that a request may use. After an error the request holds nothing.

        A request that `admit` has not admitted is admitted too, with the same call of the admission store.

        Raises:
            InvalidRequestError: the request may cost more than the maximum of one request.
            PermissionDeniedError: the model has no price, and the settings refuse such requests.
            RateLimitError: a limit or a budget is exceeded.
            ServiceUnavailableError: a store does not answer.
        """
        id, limits = context.id, charge.limits
        if charge.is_admitted and limits is not None:
            # An id of its own, because the store charges each id once.
            id, limits = f"{id}:tokens", limits.reservation if limits.counts_tokens else None
        try:
            if charge.is_priced:
                charge.amount = self.price(charge)
            if limits is not None:
                await self._grant(charge, id, limits)
        except BaseException:
            await self.release(charge)
            raise
        if charge.budgets and charge.amount:
            try:
                await self._budgets.reserve(charge.entry, charge.amount, charge.budgets, context, charge.estimate.media_bound)
            except GatewayError:
                await self.release(charge)
                raise
            except BaseException as error:
                # The request was cancelled before the ledger's answer, so the ledger may have reserved the money.
                await self.settle(context, charge, None, error)
                raise
            charge.reserved = charge.amount
        self._maintenance.watch(charge)

    def price(self, charge: Charge) -> int:
        """Return the nano-dollars that a request may cost at most.

        Raises:
            InvalidRequestError: the request may cost more than the maximum of one request.
            PermissionDeniedError: the model has no price, and the settings refuse such requests.
        """
        return self._max_cost.amount(charge.model, charge.estimate, charge.caller, budgeted=bool(charge.budgets))

    async def balances(self, charge: Charge) -> list[Balance]:
        """Return the state of the budgets that a request is charged to.

        Raises:
            ServiceUnavailableError: the ledger does not answer.
        """
        return await self._budgets.balances(charge.budgets)

    async def release(self, charge: Charge) -> None:
        """Give back everything that a refused request holds; the ledger keeps no row of it."""
        charge.is_open = False
        if charge.held:
            await self._finish(charge.held, 0)

    async def settle(self, context: RequestContext, charge: Charge, usage: dict[str, Any] | None, error: BaseException | None) -> None:
        """Post a request's usage and give back the rest of its reservation, even if the request is cancelled. Only the first call counts.

        Args:
            context: request context.
            charge: charge of the request.
            usage: reported or estimated `usage` object; None where there was no answer.
            error: error with which the request ended; None for a complete answer.
        """
        if not charge.is_open:
            return
        if not charge.is_metered:
            await self.release(charge)
            return
        charge.is_open = False
        tokens, estimated = self._used.of(context, charge.estimate, usage, error)
        total = tokens.prompt + tokens.completion
        lost: Sequence[Bill] = ()
        if context.lost:
            lost = self._used.lost(context, charge.estimate)
            total += sum([bill.tokens.prompt + bill.tokens.completion for bill in lost])
            estimated = estimated or any(attempt.usage is None for attempt in context.lost)
        if self._ledger is None or charge.entry is None:
            if charge.held:
                await self._finish(charge.held, total)
            return
        outcome = charge.outcome([Bill(context.target, tokens), *lost], estimated, error)
        if charge.budgets and charge.amount:
            await self._settle(self._ledger, charge, charge.entry, total, outcome)
            return
        try:
            if charge.held:
                await self._finish(charge.held, total)
        finally:
            await self._ledger.record([Settlement(charge.entry, outcome)])

    async def _grant(self, charge: Charge, id: str, limits: LimitSet) -> None:
        try:
            headers = await self._limiter.admit(id, limits, charge.estimate, charge.model.name, charge.caller)
        except GatewayError:
            raise
        except BaseException:
            # The request was cancelled before the store's answer, so the store may have admitted it.
            await self._finish((id,), 0)
            raise
        charge.context.headers += headers
        if limits.is_returned:
            charge.held += (id,)
            charge.leases += limits.leases

    async def _post(self, ledger: Ledger, charge: Charge, entry: Entry, tokens: int, outcome: Outcome) -> None:
        if charge.reserved is not None and outcome.cost > charge.reserved:
            # The upstream used more tokens than the request allows (docs/promises.md, Money).
            details = {"target": outcome.target, "reserved_nano_usd": charge.reserved, "cost_nano_usd": outcome.cost}
            self._observer.noted("over_reservation", charge.context, **details)
        try:
            if charge.held:
                await self._limiter.finish(charge.held, tokens)
        finally:
            changes = await ledger.settle(entry, outcome, [budget.account for budget in charge.budgets])
        await self._budgets.notify(changes, charge.context)


def _entry(context: RequestContext, caller: Caller | None, model: str) -> Entry:
    tenant = "" if caller is None else caller.tenant
    return Entry(context.id, *own_scope(caller), tenant, model, context.stream, int(context.clock.time() * 1000))


def _uninterrupted(work: Callable[P, Coroutine[Any, Any, None]], background: Background | None) -> Callable[P, Awaitable[None]]:
    """Return `work` as it goes on if its request is cancelled; without a background all stores are in memory, where no call waits."""
    if background is None:
        return work
    complete = background.complete
    return lambda *args, **kwargs: complete(work(*args, **kwargs))
