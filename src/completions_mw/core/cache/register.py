"""What calls of upstreams need of the cache: leases, by which processes take turns, and the store."""

from collections.abc import Callable
from typing import Final, NamedTuple

from pydantic_core import from_json

from completions_mw.core.cache.guarded_store import GuardedResponses
from completions_mw.core.cache.policy import CachePlan
from completions_mw.core.cache.semantic import GuardedSemanticCache
from completions_mw.core.context import RequestContext
from completions_mw.core.ports import Background, CacheKey, Claim, Flights, StoredAnswer
from completions_mw.core.validation.request import Chat
from completions_mw.core.validation.valid_request import ValidRequest
from completions_mw.settings import CacheSettings

RENEWALS_PER_LEASE: Final = 3
"""Number of times that a lease is renewed within its lifetime."""


class _Lease(NamedTuple):
    """Lease of a call, which other processes wait for."""

    owner: str
    is_alive: Callable[[], bool]
    """Tells whether the call can still go on."""


class CallRegister:
    """Leases of calls that other processes wait for, and the store of their answers.

    Args:
        store: the store.
        flights: waits.
        background: renews leases.
        semantic: cache of the host app for similar requests; None if there is none.
        settings: lifetime of leases, and how long a call waits for that of another process.
    """

    def __init__(
        self,
        store: GuardedResponses,
        flights: Flights,
        background: Background,
        semantic: GuardedSemanticCache | None,
        settings: CacheSettings,
    ) -> None:
        self._store = store
        self._background = background
        self._semantic = semantic
        self._lease_ms = int(settings.lease_ttl * 1000)
        self._leases: dict[CacheKey, _Lease] = {}
        """Leases that this process holds."""
        self.max_wait = settings.max_wait
        """Seconds for which a call waits for that of another process."""
        self.pause = flights.pause
        """Waits for some seconds."""

    async def claim(self, plan: CachePlan, owner: str) -> Claim:
        """Look for the answer again, and take the lease of the call if there is none. A lease is renewed until it is given back."""
        if plan.control.no_cache or not self._store.is_shared:
            return Claim(is_granted=True)
        claim = await self._store.claim(plan.key, owner, self._lease_ms)
        if claim.is_leased:
            is_alive = self._background.keep(self._lease_ms / 1000 / RENEWALS_PER_LEASE, self.renew)
            self._leases[plan.key] = _Lease(owner, is_alive)
        return claim

    async def give_back(self, plan: CachePlan, owner: str, *, is_shareable: bool) -> None:
        """End the lease of a call.

        Args:
            plan: plan of the request.
            owner: owner of the lease.
            is_shareable: whether another process that waits may get a stored answer by asking; if not, it need not take turns.
        """
        self._leases.pop(plan.key, None)
        await self._store.release(plan.key, owner, 0 if is_shareable else self._lease_ms)

    def let_expire(self, plan: CachePlan) -> None:
        """Renew the lease of a call no more."""
        self._leases.pop(plan.key, None)

    async def renew(self) -> None:
        """Extend the leases of the calls under way. Those of an event loop that has ended expire."""
        await self._store.renew({key: lease.owner for key, lease in self._leases.copy().items() if lease.is_alive()}, self._lease_ms)

    async def store(self, context: RequestContext, request: ValidRequest, plan: CachePlan, answer: StoredAnswer) -> None:
        """Store an answer."""
        await self._store.put(plan.key, answer, plan.policy.ttl_ms)
        if self._semantic is not None and isinstance(request, Chat):
            await self._semantic.store(context, request, plan, from_json(answer.body))
