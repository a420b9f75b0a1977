"""Checks requests against their limits on requests, tokens and concurrency."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from completions_mw.core.costs.tokens import TokenEstimate
from completions_mw.core.keys.caller import Caller, NestedCaller
from completions_mw.core.keys.scopes import Scope, ScopeKind
from completions_mw.core.limits.errors import rate_limit_error, tokens_too_large_error
from completions_mw.core.limits.limit_set import LimitSet, limit_set
from completions_mw.core.ports import Admission, AdmissionStore, Lease, Window
from completions_mw.errors import RateLimitError
from completions_mw.http import Headers
from completions_mw.settings import Limits, Settings

LEASE_RETRY_MS: Final = 1000
"""Advised delay of a request that found no free lease: when one becomes free is not known."""
MAX_KNOWN_SETS: Final = 4096
"""Number of pairs of caller and model whose limits are known without being combined again."""
_NO_LIMITS: Final = LimitSet()
_Key = tuple[str, str, ScopeKind, str]


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
        self._known: dict[_Key, tuple[Limits | None, LimitSet | None]] = {}
        """The caller's own limits and the combined ones, by the model, and the tenant, kind and id of the caller."""

    def limits_of(self, caller: Caller | None, model: str) -> LimitSet | None:
        """Return all limits that apply to a request, None if there are none.

        To a request that an in-process model sends on behalf of its caller, only the limits of the requested model apply.
        """
        key: _Key
        if caller is None or (isinstance(caller, NestedCaller) and caller.is_nested):
            own, key = None, (model, "", "app", "")
        else:
            own = self._callers if caller.limits is None and caller.scope == "caller" else caller.limits
            key = model, caller.tenant, caller.scope, caller.id
        known = self._known.get(key)
        if known is None or (known[0] is not own and known[0] != own):
            known = self._remember(own, key)
        return known[1]

    async def admit(self, id: str, limits: LimitSet, estimate: TokenEstimate, model: str, caller: Caller | None) -> Headers:
        """Charge a request to all of its limits, and return the `x-ratelimit-` headers of the response.

        Args:
            id: request id in the store, which charges each id once.
            limits: limits that are charged.
            estimate: tokens that the request may use.
            model: model named in the text of a refusal.
            caller: caller named in the text of a refusal, if its tenant is not; None for the host app itself.

        Raises:
            RateLimitError: a limit is exceeded and nothing is charged, or the request could never be admitted.
            ServiceUnavailableError: the store does not answer, and the settings say that requests are refused then.
        """
        admission = await self._store.admit(id, limits.windows, limits.leases, estimate, self._lease_ms)
        headers = limits.headers.of(admission)
        if not admission.admitted:
            error = _refusal(limits, estimate, admission, model, "" if caller is None else caller.tenant or caller.id)
            error.headers = (*error.headers, *headers)
            raise error
        return headers

    async def finish(self, ids: Sequence[str], tokens: int | None) -> None:
        """Give back what the store has granted to a request under each of `ids`.

        Args:
            ids: request ids in the store.
            tokens: number of tokens that the request has used; None if it is not known.
        """
        for id in ids:
            await self._store.finish(id, tokens)

    async def renew(self, holds: Mapping[str, Sequence[Lease]]) -> list[str]:
        """Extend the leases of requests, given by request id; return the ids of requests that lost a lease."""
        return await self._store.renew(holds, self._lease_ms)

    def _remember(self, own: Limits | None, key: _Key) -> tuple[Limits | None, LimitSet | None]:
        model, tenant, scope, id = key
        combined = self._models.get(model, _NO_LIMITS)
        if own is not None:
            combined += limit_set(Scope(scope, id), own)
        combined += self._tenants.get(tenant, _NO_LIMITS)
        if len(self._known) >= MAX_KNOWN_SETS:
            self._known.clear()
        known = self._known[key] = own, combined if combined.windows or combined.leases else None
        return known


def _refusal(limits: LimitSet, estimate: TokenEstimate, admission: Admission, model: str, organization: str) -> RateLimitError:
    """Return the error for the limit that can never admit the request, else for the one that resets last: a retry then succeeds."""
    costs = [window.cost(estimate) for window in limits.windows]
    too_small = [(window, cost) for window, cost in zip(limits.windows, costs, strict=True) if cost > window.limit]
    if too_small:
        window, cost = min(too_small, key=lambda one: one[0].limit)
        return tokens_too_large_error(model, organization, window.seconds, window.limit, cost)
    refusing = [
        (wait_ms, window, used, cost)
        for window, cost, used, wait_ms in zip(limits.windows, costs, admission.used, admission.reset_ms, strict=True)
        if used + cost > window.limit
    ]
    if refusing:
        wait_ms, window, used, cost = max(refusing, key=lambda one: one[0])
        kind: Literal["requests", "tokens"] = "tokens" if window.counts_tokens else "requests"
        return rate_limit_error(model, organization, kind, window.seconds, window.limit, used, cost, wait_ms, _scope(window))
    lease, held = next((lease, held) for lease, held in zip(limits.leases, admission.held, strict=True) if held >= lease.limit)
    return rate_limit_error(model, organization, "concurrency", 0, lease.limit, held, 1, LEASE_RETRY_MS, _scope(lease))


def _scope(limit: Window | Lease) -> str:
    return limit.bucket.partition(":")[0]
