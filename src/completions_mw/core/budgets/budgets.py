"""Money: whose budget a request is charged to, and whether it fits (DESIGN section 4, `reserve`)."""

import inspect
from collections.abc import Callable
from decimal import Decimal
from logging import ERROR
from typing import NamedTuple

from completions_mw.core.budgets.errors import budget_exceeded_error
from completions_mw.core.budgets.periods import Period, period_end, period_of
from completions_mw.core.context import RequestContext
from completions_mw.core.costs.prices import NANO, nano
from completions_mw.core.hooks import uncallable_reason
from completions_mw.core.keys.caller import Caller
from completions_mw.core.ports import Account, BudgetChange, Clock, Entry, Ledger, Refusal
from completions_mw.core.telemetry.log import log_event
from completions_mw.errors import BudgetExceededError, ConfigurationError, ServiceUnavailableError
from completions_mw.settings import Budget, Settings


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


class Budgets:
    """Reserves money.

    Args:
        ledger: holds it; without one nobody with a budget is served.
        settings: hold the budgets of tenants, and of callers that bring none.
        clock: tells the period.
        ttl_ms: for how long a reservation holds without a sign of life.
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
        if on_budget is not None and (fault := uncallable_reason(on_budget, "alert")):
            raise ConfigurationError(f"on_budget: {fault}")

    def budgets_for(self, caller: Caller | None) -> tuple[AppliedBudget, ...]:
        """Return the budgets that `caller` is charged to, in their periods of now."""
        if caller is None:
            return ()
        own = self._callers if caller.budget is None and caller.scope == "caller" else caller.budget
        shared = self._tenants.get(caller.tenant)
        shares = [] if own is None else [self._share(caller.scope, caller.id, own)]
        if shared is not None:
            shares.append(self._share("tenant", caller.tenant, shared))
        return tuple(shares)

    async def reserve(self, entry: Entry, amount: int, shares: tuple[AppliedBudget, ...], exchange: RequestContext) -> None:
        """Hold `amount` in all budgets.

        Raises:
            BudgetExceededError: it does not fit into one of them.
            ServiceUnavailableError: nobody can tell at the moment.
        """
        if self._ledger is None:
            exchange.log_no_ledger()
            raise ServiceUnavailableError("Budgets cannot be checked at the moment.", code="budget_unavailable")
        refusal = await self._ledger.reserve(entry, amount, [share.account for share in shares], self._ttl_ms)
        if refusal is not None:
            period = next(share.period for share in shares if share.account == refusal.account)
            raise await self._refused(refusal, amount, period, exchange)

    async def notify(self, changes: list[BudgetChange], exchange: RequestContext | None) -> None:
        """Tell the operator's hook of the thresholds that a settlement has reached."""
        for change in changes:
            for threshold in change.told:
                await self._tell(BudgetAlert(*change[:3], _usd(change.limit), _usd(change.spent), threshold), exchange)

    def _share(self, scope: str, name: str, budget: Budget) -> AppliedBudget:
        account = Account(scope, name, period_of(budget.period, self._clock.time()), nano(budget.usd))
        return AppliedBudget(account, budget.period)

    async def _refused(self, refusal: Refusal, amount: int, period: Period, exchange: RequestContext) -> BudgetExceededError:
        account = refusal.account
        if refusal.first:
            reached = refusal.spent * 100 // account.limit
            alert = BudgetAlert(
                account.scope, account.name, account.period, _usd(account.limit), _usd(refusal.spent), reached, refused=True
            )
            await self._tell(alert, exchange)
        ends = period_end(period, self._clock.time())
        return budget_exceeded_error(account.scope, account.limit, refusal.spent, refusal.reserved, amount, period, ends)

    async def _tell(self, alert: BudgetAlert, exchange: RequestContext | None) -> None:
        if self._on_budget is None:
            return
        try:
            answer = self._on_budget(alert)
            if inspect.isawaitable(answer):
                await answer
        except Exception as error:
            if exchange is None:
                log_event(ERROR, "hook_failed", hook="on_budget", error=type(error).__name__)
            else:
                exchange.log_failure(error)


def _usd(amount: int) -> Decimal:
    return Decimal(amount) / NANO
