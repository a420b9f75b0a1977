"""How often, how much and how many at once: which limits a request meets, and what it is told of them (DESIGN section 4, `admit`)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, NamedTuple
from urllib.parse import quote

from completions_mw.core.auth import Caller
from completions_mw.core.demand import Demand
from completions_mw.core.ports import Admission, AdmissionStore, Slot, Window
from completions_mw.core.refusals import Level, rate_limit_headers, rate_limited, too_large
from completions_mw.errors import RateLimitError
from completions_mw.http import Headers
from completions_mw.settings import Limits, Rate, Settings

Scope = Literal["key", "caller", "tenant", "model"]
Family = Literal["requests", "tokens", "project-tokens"]

SLOT_RETRY_MS: Final = 1000
"""When a place becomes free is not known; a second is a polite guess."""


class Rule(NamedTuple):
    """A rate of somebody, with the name of its counter."""

    family: Family
    """Which of the `x-ratelimit-` headers shows it (SPEC section 10)."""
    bucket: str
    rate: Rate


class LimitSet(NamedTuple):
    """The limits of one key, caller, tenant or model."""

    rules: tuple[Rule, ...]
    slots: tuple[Slot, ...]


@lru_cache(maxsize=4096)
def limit_set(scope: Scope, name: str, limits: Limits) -> LimitSet:
    """Return the limits of somebody, with names of counters that nobody else has (FAULTS FC-87)."""
    owner = f"{scope}:{quote(name, safe='')}"
    tokens: Family = "project-tokens" if scope == "tenant" else "tokens"
    rules = [Rule("requests", f"{owner}:requests:{rate.seconds}", rate) for rate in limits.requests]
    rules += [Rule(tokens, f"{owner}:tokens:{rate.seconds}", rate) for rate in limits.tokens]
    slots = (Slot(f"{owner}:concurrency", limits.concurrency),) if limits.concurrency else ()
    return LimitSet(tuple(rules), slots)


@dataclass(frozen=True, slots=True)
class Pass:
    """A request that was let in."""

    slots: tuple[Slot, ...]
    """What it leases."""
    headers: Headers
    counts_tokens: bool
    """Whether it reserved tokens, which are to be corrected at its end."""


class RateLimiter:
    """Lets requests in, or says why not.

    Args:
        store: counts.
        settings: hold the limits of tenants, models, and of callers that bring none.
        lease_ms: for how long a place is held without a sign of life.
    """

    def __init__(self, store: AdmissionStore, settings: Settings, lease_ms: int) -> None:
        self._store = store
        self._callers = settings.callers.limits
        self._tenants = _sets("tenant", {name: tenant.limits for name, tenant in settings.tenants.items()})
        self._models = _sets("model", {name: model.limits for name, model in settings.models.items()})
        self._lease_ms = lease_ms

    def limits_of(self, caller: Caller | None, model: str) -> LimitSet | None:
        """Return all limits that a request meets, or None if there are none."""
        found = [self._models.get(model)]
        if caller is not None:
            limits = self._callers if caller.limits is None and caller.scope == "caller" else caller.limits
            if limits is not None:
                found.append(limit_set(caller.scope, caller.id, limits))
            found.append(self._tenants.get(caller.tenant))
        sets = [one for one in found if one is not None and (one.rules or one.slots)]
        if len(sets) < 2:
            return sets[0] if sets else None
        return LimitSet(tuple(rule for one in sets for rule in one.rules), tuple(slot for one in sets for slot in one.slots))

    async def admit(self, request_id: str, limits: LimitSet, demand: Demand, model: str, tenant: str) -> Pass:
        """Charge a request to all of its limits.

        Raises:
            RateLimitError: one of them refuses, and none of them is charged; or it could never be admitted.
            ServiceUnavailableError: nobody can tell at the moment, and the settings want that to be a refusal.
        """
        windows = [_window(rule, demand, model, tenant) for rule in limits.rules]
        admission = await self._store.admit(request_id, windows, limits.slots, self._lease_ms)
        headers = rate_limit_headers(_levels(limits.rules, admission))
        if not admission.admitted:
            error = _refusal(limits, windows, admission, model, tenant)
            error.headers = (*error.headers, *headers)
            raise error
        return Pass(limits.slots, headers, any(window.refundable for window in windows))

    async def finish(self, request_id: str, tokens: int | None) -> None:
        """Give back what a request holds; tokens are what it used, or None if that is not known."""
        await self._store.finish(request_id, tokens)

    async def renew(self, holds: Mapping[str, tuple[Slot, ...]]) -> list[str]:
        """Extend leases; return the requests that lost theirs."""
        return await self._store.renew(holds, self._lease_ms)


def _sets(scope: Scope, limits: Mapping[str, Limits]) -> dict[str, LimitSet]:
    sets = {name: limit_set(scope, name, one) for name, one in limits.items()}
    return {name: one for name, one in sets.items() if one.rules or one.slots}


def _window(rule: Rule, demand: Demand, model: str, tenant: str) -> Window:
    rate = rule.rate
    if rule.family == "requests":
        return Window(rule.bucket, rate.amount, rate.seconds, 1, refundable=False)
    asked = demand.prompt + demand.completion
    if not demand.stated:
        # The maximum is ours, not the request's, so it is no reason to refuse it for ever.
        asked = max(demand.prompt, min(asked, rate.amount))
    if asked > rate.amount:
        raise too_large(model, tenant, rate.seconds, rate.amount, asked)
    return Window(rule.bucket, rate.amount, rate.seconds, asked, refundable=True)


def _levels(rules: Iterable[Rule], admission: Admission) -> list[Level]:
    return [
        Level(rule.family, rule.rate.amount, standing.used, standing.reset_ms)
        for rule, standing in zip(rules, admission.windows, strict=True)
    ]


def _refusal(limits: LimitSet, windows: list[Window], admission: Admission, model: str, tenant: str) -> RateLimitError:
    """Return the error for the limit that is in the way the longest, so that a retry after it is not in vain."""
    refusing = [
        (standing.reset_ms, rule, standing.used, window.cost)
        for rule, window, standing in zip(limits.rules, windows, admission.windows, strict=True)
        if standing.used + window.cost > window.limit
    ]
    if refusing:
        wait_ms, rule, used, cost = max(refusing, key=lambda one: one[0])
        kind: Literal["requests", "tokens"] = "requests" if rule.family == "requests" else "tokens"
        return rate_limited(model, tenant, kind, rule.rate.seconds, rule.rate.amount, used, cost, wait_ms)
    slot, used = next((slot, at.used) for slot, at in zip(limits.slots, admission.slots, strict=True) if at.used >= slot.limit)
    return rate_limited(model, tenant, "concurrency", 0, slot.limit, used, 1, SLOT_RETRY_MS)
