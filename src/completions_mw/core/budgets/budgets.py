"""Which budgets a request is charged to, and whether it fits into them."""

import inspect
from collections.abc import Callable
from decimal import Decimal
from logging import ERROR
from typing import Final, NamedTuple, Self

from completions_mw.core.budgets.errors import budget_exceeded_error
from completions_mw.core.budgets.periods import Period, period_end, period_of
from completions_mw.core.context import RequestContext
from completions_mw.core.costs.prices import NANO, nano
from completions_mw.core.hooks import uncallable_reason
from completions_mw.core.keys.caller import Caller
from completions_mw.core.ports import Account, BudgetChange, Clock, Entry, Ledger, Refusal
from completions_mw.core.telemetry.log import log_event, log_exception
from completions_mw.errors import BudgetExceededError, ConfigurationError, ServiceUnavailableError
from completions_mw.settings import Settings


class BudgetAlert(NamedTuple):
    """A budget has reached a threshold, or refused a request; what the `on_budget` hook is told, once for each of them and each period."""

    scope: str
    """`key`, `caller` or `tenant`."""
    id: str
    period: str
    """As `2026-11` or `total`."""
    limit: Decimal
    """USD."""
    spent: Decimal
    threshold: int
    """Per cent: 50, 80 or 100; of a refusal, what was spent then."""
    refused: bool = False
    """Whether this is told because the budget has refused its first request, which may have been a large one."""


OnBudget = Callable[[BudgetAlert], object]


class AppliedBudget(NamedTuple):
    """A budget that a request is charged to, and the kind of its period."""

    account: Account
    period: Period


class _Period(NamedTuple):
    name: str
    since: float
    """Seconds since the epoch; not necessarily the period's start."""
    until: float

    @classmethod
    def of(cls, kind: Period, now: float) -> Self:
        end = period_end(kind, now)
        return cls(period_of(kind, now), now, float("inf") if end is None else end.timestamp())


_NO_PERIOD: Final = _Period("", 0.0, 0.0)


class Budgets:
    """Reserves money in the budgets of keys, callers and tenants.

    Args:
        ledger: holds reservations; without one nobody with a budget is served.
        settings: hold the budgets of tenants, and of callers that bring none.
        clock: tells the period.
        ttl_ms: milliseconds for which a reservation holds unless it is renewed.
        on_budget: told of thresholds; what it raises is logged and goes no further.

    Raises:
        ConfigurationError: the hook is nothing to call with an alert.
    """

    def __init__(self, ledger: Ledger | None, settings: Settings, clock: Clock, ttl_ms: int, on_budget: OnBudget | None) -> None:
        self._ledger = ledger
        self._callers = settings.callers.budget
        self._tenants = {name: tenant.budget for name, tenant in settings.tenants.items() if tenant.budget}
        self._clock = clock
        self._ttl_ms = ttl_ms
        self._on_budget = on_budget
        self._periods: dict[Period, _Period] = {}
        """The current period of each kind: a name costs more than all the rest of `budgets_for`."""
        if on_budget is not None and (fault := uncallable_reason(on_budget, "alert")):
            raise ConfigurationError(f"on_budget: {fault}")

    def budgets_for(self, caller: Caller | None) -> tuple[AppliedBudget, ...]:
        """Return the budgets that `caller` is charged to, in their periods of now."""
        if caller is None:
            return ()
        own = self._callers if caller.budget is None and caller.scope == "caller" else caller.budget
        shared = self._tenants.get(caller.tenant)
        applied: list[AppliedBudget] = []
        for scope, name, budget in ((caller.scope, caller.id, own), ("tenant", caller.tenant, shared)):
            if budget is not None:
                now = self._clock.time()
                period, since, until = self._periods.get(budget.period, _NO_PERIOD)
                # Wall clocks are set back, too.
                if not since <= now < until:
                    period, since, until = self._periods[budget.period] = _Period.of(budget.period, now)
                applied.append(AppliedBudget(Account(scope, name, period, nano(budget.usd)), budget.period))
        return tuple(applied)

    async def reserve(self, entry: Entry, amount: int, budgets: tuple[AppliedBudget, ...], context: RequestContext) -> None:
        """Hold `amount` nano-dollars in all budgets, or in none of them.

        Raises:
            BudgetExceededError: the amount does not fit into one of them.
            ServiceUnavailableError: there is no ledger, or it does not answer.
        """
        if self._ledger is None:
            log_event(ERROR, "no_ledger", request_id=context.id, caller=context.caller, missing="stores.ledger")
            raise ServiceUnavailableError("Budgets cannot be checked at the moment.", code="budget_unavailable")
        refusal = await self._ledger.reserve(entry, amount, [budget.account for budget in budgets], self._ttl_ms)
        if refusal is not None:
            period = next(budget.period for budget in budgets if budget.account == refusal.account)
            raise await self._refused(refusal, amount, period, context)

    async def notify(self, changes: list[BudgetChange], context: RequestContext | None) -> None:
        """Tell the operator's hook of the thresholds that a settlement has crossed."""
        for change in changes:
            for threshold in change.crossed:
                alert = BudgetAlert(change.scope, change.name, change.period, _usd(change.limit), _usd(change.spent), threshold)
                await self._tell(alert, context)

    async def _refused(self, refusal: Refusal, amount: int, period: Period, context: RequestContext) -> BudgetExceededError:
        account = refusal.account
        if refusal.first:
            reached = refusal.spent * 100 // account.limit
            alert = BudgetAlert(
                account.scope, account.name, account.period, _usd(account.limit), _usd(refusal.spent), reached, refused=True
            )
            await self._tell(alert, context)
        ends = period_end(period, self._clock.time())
        return budget_exceeded_error(account.scope, account.limit, refusal.spent, refusal.reserved, amount, period, ends)

    async def _tell(self, alert: BudgetAlert, context: RequestContext | None) -> None:
        if self._on_budget is None:
            return
        try:
            answer = self._on_budget(alert)
            if inspect.isawaitable(answer):
                await answer
        except Exception as error:
            request_id, debug = (None, False) if context is None else (context.id, context.debug)
            log_exception("hook_failed", error, debug=debug, hook="on_budget", request_id=request_id)


def _usd(amount: int) -> Decimal:
    return Decimal(amount) / NANO
