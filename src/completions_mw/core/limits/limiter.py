"""Checks requests against their limits on requests, tokens and concurrency."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Final, Literal, NamedTuple

from completions_mw.core.costs.tokens import TokenEstimate
from completions_mw.core.keys.caller import Caller, NestedCaller
from completions_mw.core.keys.scopes import Scope, own_scope
from completions_mw.core.limits.errors import Family, rate_limit_error, rate_limit_headers, tokens_too_large_error
from completions_mw.core.ports import Admission, AdmissionStore, Lease, Window
from completions_mw.errors import RateLimitError
from completions_mw.http import Headers
from completions_mw.settings import Limits, Settings

LEASE_RETRY_MS: Final = 1000
"""Advised delay of a request that found no free lease: when one becomes free is not known."""
MAX_CACHED_SETS: Final = 4096
"""Number of pairs of caller and model whose combined limits are cached."""


class LimitSet(NamedTuple):
    """Limits of one key, caller, tenant or model, or all limits that apply to a request."""

    families: tuple[Family, ...] = ()
    """Header family of each item of `windows`."""
    windows: tuple[Window, ...] = ()
    """Limits on requests and tokens. Limits on tokens have a cost of 0 until the request is known."""
    leases: tuple[Lease, ...] = ()
    """Limits on concurrency."""
    counts_tokens: bool = False
    """Whether one of `windows` is a limit on tokens."""

    def __add__(self, other: "LimitSet") -> "LimitSet":  # type: ignore[override]
        """Return the limits of both sets."""
        return LimitSet(
            self.families + other.families,
            self.windows + other.windows,
            self.leases + other.leases,
            self.counts_tokens or other.counts_tokens,
        )


@lru_cache(MAX_CACHED_SETS)
def split(limits: LimitSet) -> tuple[LimitSet, LimitSet]:
    """Return two sets: limits on requests and concurrency, which admit a request, and limits on tokens, of which it reserves."""
    admission, reservation = LimitSet(leases=limits.leases), LimitSet()
    for family, window in zip(limits.families, limits.windows, strict=True):
        one = LimitSet((family,), (window,), counts_tokens=window.refundable)
        if window.refundable:
            reservation += one
        else:
            admission += one
    return admission, reservation


def limit_set(scope: Scope, limits: Limits) -> LimitSet:
    """Return the limits of a scope; no two scopes share the name of a bucket."""
    owner = scope.label
    requests = [Window(f"{owner}:requests:{rate.seconds}", rate.amount, rate.seconds, 1, refundable=False) for rate in limits.requests]
    tokens = [Window(f"{owner}:tokens:{rate.seconds}", rate.amount, rate.seconds, 0, refundable=True) for rate in limits.tokens]
    families: list[Family] = ["requests"] * len(requests)
    families += ["project-tokens" if scope.kind == "tenant" else "tokens"] * len(tokens)
    leases = (Lease(f"{owner}:concurrency", limits.concurrency),) if limits.concurrency else ()
    return LimitSet(tuple(families), (*requests, *tokens), leases, bool(tokens))


@dataclass(frozen=True, slots=True)
class Grant:
    """What the admission store has granted to a request."""

    id: str
    """Request id under which the store was asked."""
    leases: tuple[Lease, ...]
    """Leases that the request holds."""
    headers: Headers
    """The `x-ratelimit-` headers of the response."""
    is_returned: bool
    """Whether the store must be told when the request ends: it holds leases, or reserved tokens that may be unused."""


class RateLimiter:
    """Checks requests against their limits.

    Args:
        store: counters and leases.
        settings: limits of tenants and models, and default limits of callers.
        lease_ms: milliseconds until a lease expires unless it is renewed.
    """

    def __init__(self, store: AdmissionStore, settings: Settings, lease_ms: int) -> None:
        self._store = store
        self._callers = settings.callers.limits
        self._tenants = {name: limit_set(Scope("tenant", name), tenant.limits) for name, tenant in settings.tenants.items()}
        self._models = {name: limit_set(Scope("model", name), model.limits) for name, model in settings.models.items()}
        self._lease_ms = lease_ms
        # Limits depend only on the caller and the model, so combining them once is enough.
        self._combined = lru_cache(MAX_CACHED_SETS)(self._combine)

    def limits_of(self, caller: Caller | None, model: str) -> LimitSet | None:
        """Return all limits that apply to a request, None if there are none.

        To a request that an in-process model sends on behalf of its caller, only the limits of the requested model apply.
        """
        if caller is None or (isinstance(caller, NestedCaller) and caller.is_nested):
            return self._combined(None, model, "")
        limits = self._callers if caller.limits is None and caller.scope == "caller" else caller.limits
        return self._combined(None if limits is None else (own_scope(caller), limits), model, caller.tenant)

    async def admit(self, id: str, limits: LimitSet, estimate: TokenEstimate, model: str, organization: str) -> Grant:
        """Charge a request to all of its limits.

        Args:
            id: request id in the store, which charges each id once.
            limits: limits that are charged.
            estimate: tokens that the request may use.
            model: model named in the text of a refusal.
            organization: tenant or caller named in the text of a refusal; empty for the host app itself.

        Raises:
            RateLimitError: a limit is exceeded and nothing is charged, or the request could never be admitted.
            ServiceUnavailableError: the store does not answer, and the settings say that requests are refused then.
        """
        windows = windows_of(limits, estimate)
        admission = await self._store.admit(id, windows, limits.leases, self._lease_ms)
        headers = rate_limit_headers(zip(limits.families, map(_limit_of, windows), admission.windows, strict=True))
        if not admission.admitted:
            error = _refusal(limits, windows, admission, model, organization)
            error.headers = (*error.headers, *headers)
            raise error
        return Grant(id, limits.leases, headers, limits.counts_tokens or bool(limits.leases))

    async def finish(self, id: str, tokens: int | None) -> None:
        """Give back what the store has granted under `id`; `tokens` is the number that was used, None if it is not known."""
        await self._store.finish(id, tokens)

    async def finish_all(self, grants: Sequence[Grant], tokens: int) -> None:
        """Give back all grants of a request that used `tokens`."""
        for grant in grants:
            if grant.is_returned:
                await self._store.finish(grant.id, tokens)

    async def renew(self, holds: Mapping[str, tuple[Lease, ...]]) -> list[str]:
        """Extend the leases of requests, given by request id; return the ids of requests that lost a lease."""
        return await self._store.renew(holds, self._lease_ms)

    def _combine(self, own: tuple[Scope, Limits] | None, model: str, tenant: str) -> LimitSet | None:
        combined = self._models.get(model, LimitSet())
        if own is not None:
            combined += limit_set(*own)
        combined += self._tenants.get(tenant, LimitSet())
        return combined if combined.windows or combined.leases else None


_limit_of: Final = attrgetter("limit")


def windows_of(limits: LimitSet, estimate: TokenEstimate) -> tuple[Window, ...]:
    """Return the limits on requests and tokens, with what a request costs of each."""
    if not limits.counts_tokens:
        return limits.windows
    return tuple([_with_cost(window, estimate) if window.refundable else window for window in limits.windows])


def _with_cost(window: Window, estimate: TokenEstimate) -> Window:
    """Return a limit on tokens with the cost of a request."""
    bucket, limit, seconds, *_ = window
    cost, reducible = estimate.prompt + estimate.completion, 0
    if not estimate.client_set_max:
        # The client did not ask for the default maximum, so a small limit must not refuse the request for ever.
        cost = max(estimate.prompt, min(cost, limit))
        reducible = cost - estimate.prompt
    return Window(bucket, limit, seconds, cost, refundable=True, reducible=reducible)


def _refusal(limits: LimitSet, windows: Sequence[Window], admission: Admission, model: str, organization: str) -> RateLimitError:
    """Return the error for the limit that can never admit the request, else for the one that resets last: a retry then succeeds."""
    smallest = min((window for window in windows if window.cost > window.limit), key=_limit_of, default=None)
    if smallest is not None:
        return tokens_too_large_error(model, organization, smallest.seconds, smallest.limit, smallest.cost)
    refusing = [
        (state.reset_ms, family, window, state.used)
        for family, window, state in zip(limits.families, windows, admission.windows, strict=True)
        if state.used + window.cost > window.limit
    ]
    if refusing:
        wait_ms, family, window, used = max(refusing, key=lambda one: one[0])
        kind: Literal["requests", "tokens"] = "requests" if family == "requests" else "tokens"
        return rate_limit_error(model, organization, kind, window.seconds, window.limit, used, window.cost, wait_ms, _scope(window))
    pairs = zip(limits.leases, admission.leases, strict=True)
    lease, used = next((lease, state.used) for lease, state in pairs if state.used >= lease.limit)
    return rate_limit_error(model, organization, "concurrency", 0, lease.limit, used, 1, LEASE_RETRY_MS, _scope(lease))


def _scope(limit: Window | Lease) -> str:
    return limit.bucket.partition(":")[0]
