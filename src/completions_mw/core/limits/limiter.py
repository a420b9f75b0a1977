"""How often, how much and how many at once: which limits a request meets, and what it is told of them (DESIGN section 4, `admit`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Final, Literal, NamedTuple
from urllib.parse import quote

from completions_mw.core.costs.estimate import TokenEstimate
from completions_mw.core.keys.caller import Caller
from completions_mw.core.limits.errors import Level, rate_limit_error, rate_limit_headers, tokens_too_large_error
from completions_mw.core.ports import Admission, AdmissionStore, Lease, Window
from completions_mw.errors import RateLimitError
from completions_mw.http import Headers
from completions_mw.settings import Limits, Settings

Scope = Literal["key", "caller", "tenant", "model"]
Family = Literal["requests", "tokens", "project-tokens"]

SLOT_RETRY_MS: Final = 1000
"""When a place becomes free is not known; a second is a polite guess."""
MAX_CALLERS: Final = 4096
"""Whose limits are remembered, each for one model; the others' are put together again for each request."""


class LimitSet(NamedTuple):
    """The limits of one key, caller, tenant or model, or all that a request meets."""

    families: tuple[Family, ...]
    """Of each window: which of the `x-ratelimit-` headers shows it (SPEC section 10)."""
    windows: tuple[Window, ...]
    """Those on tokens do not have their cost yet: it depends on the request."""
    leases: tuple[Lease, ...]
    counts_tokens: bool


def limit_set(scope: Scope, name: str, limits: Limits) -> LimitSet:
    """Return the limits of somebody, with names of counters that nobody else has (FAULTS FC-87)."""
    owner = f"{scope}:{quote(name, safe='', errors='surrogatepass')}"
    requests = [Window(f"{owner}:requests:{rate.seconds}", rate.amount, rate.seconds, 1, refundable=False) for rate in limits.requests]
    tokens = [Window(f"{owner}:tokens:{rate.seconds}", rate.amount, rate.seconds, 0, refundable=True) for rate in limits.tokens]
    families: list[Family] = ["requests"] * len(requests)
    families += ["project-tokens" if scope == "tenant" else "tokens"] * len(tokens)
    leases = (Lease(f"{owner}:concurrency", limits.concurrency),) if limits.concurrency else ()
    return LimitSet(tuple(families), (*requests, *tokens), leases, bool(tokens))


@dataclass(frozen=True, slots=True)
class Grant:
    """A request that was let in."""

    leases: tuple[Lease, ...]
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
        # A request meets the same limits as the one before it from the same caller for the same model.
        self._found = lru_cache(MAX_CALLERS)(self._find)

    def limits_of(self, caller: Caller | None, model: str) -> LimitSet | None:
        """Return all limits that a request meets, or None if there are none."""
        if caller is None:
            return self._found(None, model)
        limits = self._callers if caller.limits is None and caller.scope == "caller" else caller.limits
        return self._found(None if limits is None else (caller.scope, caller.id, limits), model, caller.tenant)

    async def admit(self, request_id: str, limits: LimitSet, estimate: TokenEstimate, model: str, tenant: str) -> Grant:
        """Charge a request to all of its limits.

        Raises:
            RateLimitError: one of them refuses, and none of them is charged; or it could never be admitted.
            ServiceUnavailableError: nobody can tell at the moment, and the settings want that to be a refusal.
        """
        windows = limits.windows
        if limits.counts_tokens:
            windows = tuple([_asked(window, estimate) if window.refundable else window for window in windows])
        admission = await self._store.admit(request_id, windows, limits.leases, self._lease_ms)
        headers = rate_limit_headers(_levels(limits, admission))
        if not admission.admitted:
            error = _refusal(limits, windows, admission, model, tenant)
            error.headers = (*error.headers, *headers)
            raise error
        return Grant(limits.leases, headers, limits.counts_tokens)

    async def finish(self, request_id: str, tokens: int | None) -> None:
        """Give back what a request holds; tokens are what it used, or None if that is not known."""
        await self._store.finish(request_id, tokens)

    async def renew(self, holds: Mapping[str, tuple[Lease, ...]]) -> list[str]:
        """Extend leases; return the requests that lost theirs."""
        return await self._store.renew(holds, self._lease_ms)

    def _find(self, own: tuple[Scope, str, Limits] | None, model: str, tenant: str | None = None) -> LimitSet | None:
        found = [self._models.get(model), None if own is None else limit_set(*own), self._tenants.get(tenant or "")]
        sets = [one for one in found if one is not None and (one.windows or one.leases)]
        return _together(sets) if sets else None


def _together(sets: Sequence[LimitSet]) -> LimitSet:
    return LimitSet(
        tuple(family for one in sets for family in one.families),
        tuple(window for one in sets for window in one.windows),
        tuple(lease for one in sets for lease in one.leases),
        any(one.counts_tokens for one in sets),
    )


def _sets(scope: Scope, limits: Mapping[str, Limits]) -> dict[str, LimitSet]:
    return {name: limit_set(scope, name, one) for name, one in limits.items()}


def _asked(window: Window, estimate: TokenEstimate) -> Window:
    """Return what a request asks of a limit on tokens."""
    bucket, limit, seconds, *_ = window
    asked, reducible = estimate.prompt + estimate.completion, 0
    if not estimate.client_set_max:
        # The maximum is ours, not the request's, so it is no reason to refuse it for ever.
        asked = max(estimate.prompt, min(asked, limit))
        reducible = asked - estimate.prompt
    return Window(bucket, limit, seconds, asked, refundable=True, reducible=reducible)


def _levels(limits: LimitSet, admission: Admission) -> list[Level]:
    return [
        Level(family, window.limit, used, reset_ms)
        for family, window, (used, reset_ms) in zip(limits.families, limits.windows, admission.windows, strict=True)
    ]


def _refusal(limits: LimitSet, windows: Sequence[Window], admission: Admission, model: str, tenant: str) -> RateLimitError:
    """Return the error for the limit that is in the way for ever, or the longest, so that a retry after it is not in vain."""
    smallest = min((window for window in windows if window.cost > window.limit), key=attrgetter("limit"), default=None)
    if smallest is not None:
        return tokens_too_large_error(model, tenant, smallest.seconds, smallest.limit, smallest.cost)
    refusing = [
        (standing.reset_ms, family, window, standing.used)
        for family, window, standing in zip(limits.families, windows, admission.windows, strict=True)
        if standing.used + window.cost > window.limit
    ]
    if refusing:
        wait_ms, family, window, used = max(refusing, key=lambda one: one[0])
        kind: Literal["requests", "tokens"] = "requests" if family == "requests" else "tokens"
        return rate_limit_error(model, tenant, kind, window.seconds, window.limit, used, window.cost, wait_ms, _scope(window))
    lease, used = next((lease, at.used) for lease, at in zip(limits.leases, admission.leases, strict=True) if at.used >= lease.limit)
    return rate_limit_error(model, tenant, "concurrency", 0, lease.limit, used, 1, SLOT_RETRY_MS, _scope(lease))


def _scope(limit: Window | Lease) -> str:
    return limit.bucket.partition(":")[0]
