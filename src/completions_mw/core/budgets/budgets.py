"""Budgets of keys, callers and tenants: reservations, and alerts for the operator."""

import inspect
from collections.abc import Callable
from decimal import Decimal
from logging import ERROR
from typing import Final, NamedTuple

from completions_mw.core.budgets.errors import budget_exceeded_error
from completions_mw.core.budgets.periods import Period, period_end, period_of
from completions_mw.core.context import RequestContext
from completions_mw.core.costs.prices import NANO, nano
from completions_mw.core.hooks import uncallable_reason
from completions_mw.core.keys.caller import Caller
from completions_mw.core.keys.scopes import own_scope, tenant_scope
from completions_mw.core.ports import Account, Balance, BudgetChange, Clock, Entry, Ledger, Refusal, StoreError
from completions_mw.core.resilience.store_health import unavailable_error
from completions_mw.core.telemetry.log import log_event, log_exception
from completions_mw.errors import BudgetExceededError, ConfigurationError, ServiceUnavailableError
from completions_mw.settings import Budget, Settings


class BudgetAlert(NamedTuple):
    """Argument of the `on_budget` hook: a budget has reached a threshold, or refused a request for the first time in its period."""

    scope: str
    """Kind of the budget's owner: `key`, `caller` or `tenant`."""
    id: str
    """Id of the budget's owner."""
    period: str
    """Name of the period, as `2026-11` or `total`."""
    limit: Decimal
    """USD of the budget."""
    spent: Decimal
    """USD spent in the period."""
    threshold: int
    """Per cent of the budget: 50, 80 or 100; for a refusal, the per cent spent at that time."""
    refused: bool = False
    """Whether the alert is for the first refused request of the period, which may have been a large one."""


OnBudget = Callable[[BudgetAlert], object]
"""Hook of the host app that is called with each alert."""


class AppliedBudget(NamedTuple):
    """A budget that applies to a request, and the kind of its period."""

    account: Account
    period: Period


_Rules = tuple[Budget | None, Budget | None]
"""Budget of a caller, and of its tenant."""


class _Current(NamedTuple):
    """The budgets that apply to a caller as long as its rules and the periods stay the same."""

    rules: _Rules
    since: float
    """Seconds since the epoch from which the periods are known to apply; not necessarily the start of one."""
    until: float
    """Seconds since the epoch at which the first of the periods ends."""
    applied: tuple[AppliedBudget, ...]


_NO_RULES: Final = (None, None)
MAX_KNOWN_CALLERS: Final = 4096
"""Number of callers whose budgets are known without being put together again."""


class Budgets:
    """Reserves money in the budgets of keys, callers and tenants.

    Args:
        ledger: ledger of reservations; None refuses all requests with a budget.
        settings: budgets of tenants, and the default budget of callers.
        clock: time, for periods.
        ttl_ms: milliseconds until a reservation expires unless it is renewed.
        on_budget: hook for alerts; its exceptions are logged and suppressed.

    Raises:
        ConfigurationError: the hook cannot be called with an alert.
    """

    def __init__(self, ledger: Ledger | None, settings: Settings, clock: Clock, ttl_ms: int, on_budget: OnBudget | None) -> None:
        self._ledger = ledger
        self._callers = settings.callers.budget
        self._tenants = {name: tenant.budget for name, tenant in settings.tenants.items() if tenant.budget}
        self._clock = clock
        self._ttl_ms = ttl_ms
        self._on_budget = on_budget
        self._known: dict[tuple[str, str, str], _Current] = {}
        """What `budgets_for` has returned, by the kind of the caller, its id and its tenant."""
        if on_budget is not None and (fault := uncallable_reason(on_budget, "alert")):
            raise ConfigurationError(f"on_budget: {fault}")

    def budgets_for(self, caller: Caller | None) -> tuple[AppliedBudget, ...]:
        """Return the budgets that apply to a caller, each in its current period; none for None, the host app itself."""
        if caller is None:
            return ()
        own = self._callers if caller.budget is None and caller.scope == "caller" else caller.budget
        rules = own, self._tenants.get(caller.tenant)
        if rules == _NO_RULES:
            return ()
        now = self._clock.time()
        known = self._known.get((caller.scope, caller.id, caller.tenant))
        # Also before `since`, because a wall clock may be set back.
        if known is None or known.rules != rules or not known.since <= now < known.until:
            known = self._remember(caller, rules, now)
        return known.applied

    async def reserve(
        self, entry: Entry | None, amount: int, budgets: tuple[AppliedBudget, ...], context: RequestContext, media: int = 0
    ) -> None:
        """Reserve money in all of the given budgets, or in none of them.

        Args:
            entry: the request's row in the ledger; None where there is no ledger.
            amount: nano-dollars.
            budgets: the budgets.
            context: of the request.
            media: tokens of its images, audio and files, which a refusal tells.

        Raises:
            BudgetExceededError: the amount does not fit into one of the budgets.
            ServiceUnavailableError: there is no ledger, or it does not answer.
        """
        if self._ledger is None or entry is None:
            log_event(ERROR, "no_ledger", request_id=context.id, caller=context.caller, missing="stores.ledger")
            raise ServiceUnavailableError("Budgets cannot be checked at the moment.", code="budget_unavailable")
        refusal = await self._ledger.reserve(entry, amount, [budget.account for budget in budgets], self._ttl_ms)
        if refusal is not None:
            period = next(budget.period for budget in budgets if budget.account == refusal.account)
            raise await self._refused(refusal, amount, period, context, media)

    async def balances(self, budgets: tuple[AppliedBudget, ...]) -> list[Balance]:
        """Return the state of budgets in their periods.

        Raises:
            ServiceUnavailableError: the ledger does not answer.
        """
        balances: list[Balance] = []
        for account, _ in budgets:
            try:
                found = [] if self._ledger is None else await self._ledger.balances(account.scope, account.name)
            except StoreError as error:
                raise unavailable_error("Budgets cannot be checked at the moment. Please try again.", "budget_unavailable") from error
            unused = Balance(account.scope, account.name, account.period, account.limit, 0, 0)
            balances.append(next((one._replace(limit=account.limit) for one in found if one.period == account.period), unused))
        return balances

    async def notify(self, changes: list[BudgetChange], context: RequestContext | None) -> None:
        """Call the operator's hook for each threshold that settlements have reached."""
        for change in changes:
            for threshold in change.crossed:
                alert = BudgetAlert(change.scope, change.name, change.period, _usd(change.limit), _usd(change.spent), threshold)
                await self._tell(alert, context)

    def _remember(self, caller: Caller, rules: _Rules, now: float) -> _Current:
        applied: list[AppliedBudget] = []
        until = float("inf")
        for scope, budget in zip((own_scope(caller), tenant_scope(caller)), rules, strict=True):
            if scope is not None and budget is not None:
                applied.append(AppliedBudget(Account(*scope, period_of(budget.period, now), nano(budget.usd)), budget.period))
                end = period_end(budget.period, now)
                until = until if end is None else min(until, end.timestamp())
        if len(self._known) >= MAX_KNOWN_CALLERS:
            self._known.clear()
        current = self._known[caller.scope, caller.id, caller.tenant] = _Current(rules, now, until, tuple(applied))
        return current

    async def _refused(self, refusal: Refusal, amount: int, period: Period, context: RequestContext, media: int) -> BudgetExceededError:
        account = refusal.account
        if refusal.first:
            reached = refusal.spent * 100 // account.limit
            alert = BudgetAlert(
                account.scope, account.name, account.period, _usd(account.limit), _usd(refusal.spent), reached, refused=True
            )
            await self._tell(alert, context)
        ends = period_end(period, self._clock.time())
        return budget_exceeded_error(account.scope, account.limit, refusal.spent, refusal.reserved, amount, period, ends, media)

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
