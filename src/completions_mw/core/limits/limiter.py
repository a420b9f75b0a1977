"""Whether a request is over one of its limits, and what its client is told of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Final, Literal, NamedTuple
from urllib.parse import quote

from completions_mw.core.costs.estimate import TokenEstimate
from completions_mw.core.keys.caller import Caller, NestedCaller
from completions_mw.core.limits.errors import Family, rate_limit_error, rate_limit_headers, tokens_too_large_error
from completions_mw.core.ports import Admission, AdmissionStore, Lease, Window
from completions_mw.errors import RateLimitError
from completions_mw.http import Headers
from completions_mw.settings import Limits, Settings

Scope = Literal["key", "caller", "tenant", "model"]

LEASE_RETRY_MS: Final = 1000
"""When a lease becomes free is not known; a second is a polite guess."""
MAX_CACHED_SETS: Final = 4096
"""Pairs of caller and model whose limits are kept put together."""


class LimitSet(NamedTuple):
    """The limits of one key, caller, tenant or model, or all that a request meets."""

    families: tuple[Family, ...] = ()
    """Of each window."""
    windows: tuple[Window, ...] = ()
    """Limits on requests and tokens. Those on tokens do not have their cost yet: it depends on the request."""
    leases: tuple[Lease, ...] = ()
    """Limits on concurrency."""
    counts_tokens: bool = False

    def __add__(self, other: "LimitSet") -> "LimitSet":  # type: ignore[override]
        """Return the limits of both."""
        return LimitSet(
            self.families + other.families,
            self.windows + other.windows,
            self.leases + other.leases,
            self.counts_tokens or other.counts_tokens,
        )


@lru_cache(MAX_CACHED_SETS)
def split(limits: LimitSet) -> tuple[LimitSet, LimitSet]:
    """Return the limits that admit a request, on requests and concurrency, and those that it reserves of, on tokens."""
    admission, reservation = LimitSet(leases=limits.leases), LimitSet()
    for family, window in zip(limits.families, limits.windows, strict=True):
        one = LimitSet((family,), (window,), counts_tokens=window.refundable)
        if window.refundable:
            reservation += one
        else:
            admission += one
    return admission, reservation


def limit_set(scope: Scope, name: str, limits: Limits) -> LimitSet:
    """Return the limits of `name`, with names of counters that no other key, caller, tenant or model has, whatever its name holds."""
    owner = f"{scope}:{quote(name, safe='', errors='surrogatepass')}"
    requests = [Window(f"{owner}:requests:{rate.seconds}", rate.amount, rate.seconds, 1, refundable=False) for rate in limits.requests]
    tokens = [Window(f"{owner}:tokens:{rate.seconds}", rate.amount, rate.seconds, 0, refundable=True) for rate in limits.tokens]
    families: list[Family] = ["requests"] * len(requests)
    families += ["project-tokens" if scope == "tenant" else "tokens"] * len(tokens)
    leases = (Lease(f"{owner}:concurrency", limits.concurrency),) if limits.concurrency else ()
    return LimitSet(tuple(families), (*requests, *tokens), leases, bool(tokens))


@dataclass(frozen=True, slots=True)
class Grant:
    """What the store of limits has granted to a request."""

    id: str
    """The request's name in the store."""
    leases: tuple[Lease, ...]
    headers: Headers
    is_returned: bool
    """Whether there is something to give back when the request ends: leases, or tokens that were not used."""


class RateLimiter:
    """Decides whether a request is over one of its limits.

    Args:
        store: counts.
        settings: hold the limits of tenants, models, and of callers that bring none.
        lease_ms: milliseconds for which a lease holds unless it is renewed.
    """

    def __init__(self, store: AdmissionStore, settings: Settings, lease_ms: int) -> None:
        self._store = store
        self._callers = settings.callers.limits
        self._tenants = {name: limit_set("tenant", name, tenant.limits) for name, tenant in settings.tenants.items()}
        self._models = {name: limit_set("model", name, model.limits) for name, model in settings.models.items()}
        self._lease_ms = lease_ms
        # A request meets the same limits as the one before it from the same caller for the same model.
        self._combined = lru_cache(MAX_CACHED_SETS)(self._combine)

    def limits_of(self, caller: Caller | None, model: str) -> LimitSet | None:
        """Return all limits that a request meets, or None if there are none.

        A request that a model sends on behalf of its own caller meets only the limits of the model that it asks.
        """
        if caller is None or (isinstance(caller, NestedCaller) and caller.is_nested):
            return self._combined(None, model, None)
        limits = self._callers if caller.limits is None and caller.scope == "caller" else caller.limits
        return self._combined(None if limits is None else (caller.scope, caller.id, limits), model, caller.tenant)

    async def admit(self, id: str, limits: LimitSet, estimate: TokenEstimate, model: str, tenant: str) -> Grant:
        """Charge a request to all of its limits.

        Args:
            id: the request's name in the store. The same name is charged once.
            limits: what it is charged to.
            estimate: the tokens that it may take.
            model: named by the text of a refusal.
            tenant: named by the text of a refusal; empty for the host app itself.

        Raises:
            RateLimitError: one of the limits refuses, and none of them is charged; or the request could never be admitted.
            ServiceUnavailableError: the store does not answer, and the settings want that to be a refusal.
        """
        windows = limits.windows
        if limits.counts_tokens:
            windows = tuple([_priced(window, estimate) if window.refundable else window for window in windows])
        admission = await self._store.admit(id, windows, limits.leases, self._lease_ms)
        headers = rate_limit_headers(zip(limits.families, map(_limit, limits.windows), admission.windows, strict=True))
        if not admission.admitted:
            error = _refusal(limits, windows, admission, model, tenant)
            error.headers = (*error.headers, *headers)
            raise error
        return Grant(id, limits.leases, headers, limits.counts_tokens or bool(limits.leases))

    async def finish(self, id: str, tokens: int | None) -> None:
        """Give back what a request holds; `tokens` is what it used, None if that is not known."""
        await self._store.finish(id, tokens)

    async def renew(self, holds: Mapping[str, tuple[Lease, ...]]) -> list[str]:
        """Extend leases; return the requests that lost theirs."""
        return await self._store.renew(holds, self._lease_ms)

    def _combine(self, own: tuple[Scope, str, Limits] | None, model: str, tenant: str | None) -> LimitSet | None:
        combined = self._models.get(model, LimitSet())
        if own is not None:
            combined += limit_set(*own)
        combined += self._tenants.get(tenant or "", LimitSet())
        return combined if combined.windows or combined.leases else None


_limit: Final = attrgetter("limit")


def _priced(window: Window, estimate: TokenEstimate) -> Window:
    """Return a limit on tokens with what a request asks of it."""
    bucket, limit, seconds, *_ = window
    cost, reducible = estimate.prompt + estimate.completion, 0
    if not estimate.client_set_max:
        # The maximum is ours, not the request's, so it is no reason to refuse it for ever.
        cost = max(estimate.prompt, min(cost, limit))
        reducible = cost - estimate.prompt
    return Window(bucket, limit, seconds, cost, refundable=True, reducible=reducible)


def _refusal(limits: LimitSet, windows: Sequence[Window], admission: Admission, model: str, tenant: str) -> RateLimitError:
    """Return the error for the limit that is in the way for ever, or the longest, so that a retry after it is not in vain."""
    smallest = min((window for window in windows if window.cost > window.limit), key=_limit, default=None)
    if smallest is not None:
        return tokens_too_large_error(model, tenant, smallest.seconds, smallest.limit, smallest.cost)
    refusing = [
        (state.reset_ms, family, window, state.used)
        for family, window, state in zip(limits.families, windows, admission.windows, strict=True)
        if state.used + window.cost > window.limit
    ]
    if refusing:
        wait_ms, family, window, used = max(refusing, key=lambda one: one[0])
        kind: Literal["requests", "tokens"] = "requests" if family == "requests" else "tokens"
        return rate_limit_error(model, tenant, kind, window.seconds, window.limit, used, window.cost, wait_ms, _scope(window))
    pairs = zip(limits.leases, admission.leases, strict=True)
    lease, used = next((lease, state.used) for lease, state in pairs if state.used >= lease.limit)
    return rate_limit_error(model, tenant, "concurrency", 0, lease.limit, used, 1, LEASE_RETRY_MS, _scope(lease))


def _scope(limit: Window | Lease) -> str:
    return limit.bucket.partition(":")[0]
