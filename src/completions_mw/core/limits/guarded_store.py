"""The admission store as requests use it: falls back to local shares of the limits (docs/promises.md, Stores that fail)."""

from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, Literal

from completions_mw.core.ports import Admission, AdmissionStore, Lease, StoreError, StoreTimeoutError, TokenDemand, Window
from completions_mw.core.resilience.store_health import StoreHealth, unavailable_error

MAX_REMEMBERED: Final = 50_000
"""Default number of unfinished requests admitted without the store that `GuardedAdmission` remembers."""
_MAX_UNFINISHED: Final = 100
"""Number of requests that are finished once the store is back; what it holds of others ends with their lease or window."""
_RETRY_MS: Final = 1000
"""Advised delay of a request that can never fit into a local share: the store may be back then."""


class GuardedAdmission:
    """An `AdmissionStore` that follows a policy while its store is down. A request admitted by the local store is finished there.

    Args:
        store: store that all processes share.
        policy: behaviour while the store is down: `local` applies a share of each limit, `closed` refuses all requests, `open` admits them.
        local: store of this process, for `local`.
        workers: number of processes that share the limits.
        health: breaker and log of the store.
        max_remembered: number of unfinished requests admitted by the local store that are remembered; beyond it, older ones are forgotten.
    """

    def __init__(
        self,
        store: AdmissionStore,
        policy: Literal["local", "closed", "open"],
        local: AdmissionStore,
        workers: int,
        health: StoreHealth,
        max_remembered: int = MAX_REMEMBERED,
    ) -> None:
        self._store = store
        self._policy = policy
        self._local = local
        self._workers = workers
        self._health = health
        self._max_remembered = max_remembered
        self._newer: dict[str, bool] = {}
        """Ids of requests that the local store admitted, each with whether the shared store may have admitted it too."""
        self._older: dict[str, bool] = {}
        """Entries of the former `_newer`, which is replaced when it is full."""
        self._unfinished: deque[tuple[str, int | None]] = deque(maxlen=_MAX_UNFINISHED)
        """Ids and used tokens of ended requests of which the shared store may still hold something."""

    async def admit(
        self, request_id: str, windows: Sequence[Window], leases: Sequence[Lease], demand: TokenDemand, lease_ms: int
    ) -> Admission:
        """Ask the shared store, or follow the policy while it is down.

        Raises:
            ServiceUnavailableError: the store is down and the policy is `closed`.
        """
        try:
            verdict = await self._health.call(self._policy, self._store.admit, request_id, windows, leases, demand, lease_ms)
        except StoreError as error:
            timed_out = isinstance(error, StoreTimeoutError)
            if self._policy == "closed":
                if timed_out:
                    self._unfinished.append((request_id, 0))
                text = "Rate limits cannot be checked at the moment. Please try again."
                raise unavailable_error(text, "rate_limit_unavailable") from error
        else:
            await self._give_back()
            return verdict
        if self._policy == "open":
            unchecked = [min(window.cost(demand), window.limit) for window in windows]
            return Admission(True, unchecked, [0 for _ in windows], [0 for _ in leases])
        return await self._admit_locally(request_id, windows, leases, demand, lease_ms, timed_out)

    async def renew(self, holds: Mapping[str, Sequence[Lease]], lease_ms: int) -> list[str]:
        """Extend leases, given by request id. Leases of a store that is down are not reported as lost."""
        local = {id: self._local_leases(leases) for id, leases in holds.items() if id in self._newer or id in self._older}
        lost = await self._local.renew(local, lease_ms) if local else []
        shared = {id: leases for id, leases in holds.items() if id not in local}
        if shared:
            with suppress(StoreError):
                lost = [*lost, *await self._health.call(self._policy, self._store.renew, shared, lease_ms)]
        return lost

    async def finish(self, request_id: str, tokens: int | None) -> None:
        """Give back what a request holds. What a store that is down cannot take back ends with its window or lease."""
        local = self._forget(request_id)
        if local is not None:
            await self._local.finish(request_id, tokens)
        if local and self._health.breaker.is_in_doubt:
            # The request has waited for the store once, and must not wait twice.
            self._unfinished.append((request_id, tokens))
        elif local is not False:
            try:
                await self._health.call(self._policy, self._store.finish, request_id, tokens)
            except StoreError:
                self._unfinished.append((request_id, tokens))
            else:
                await self._give_back()

    async def aclose(self) -> None:
        await self._store.aclose()
        await self._local.aclose()

    async def _admit_locally(
        self,
        request_id: str,
        windows: Sequence[Window],
        leases: Sequence[Lease],
        demand: TokenDemand,
        lease_ms: int,
        timed_out: bool,
    ) -> Admission:
        shares = [window._replace(limit=self._share(window.limit)) for window in windows]
        local_leases = self._local_leases(leases)
        verdict = await self._local.admit(request_id, shares, local_leases, demand, lease_ms)
        if verdict.admitted:
            if len(self._newer) >= self._max_remembered:
                self._older, self._newer = self._newer, {}
            self._newer[request_id] = timed_out
        elif timed_out:
            self._unfinished.append((request_id, 0))
        # As if all other processes had used up their shares.
        used = [own + whole.limit - share.limit for own, whole, share in zip(verdict.used, windows, shares, strict=True)]
        held = [own + whole.limit - share.limit for own, whole, share in zip(verdict.held, leases, local_leases, strict=True)]
        if verdict.admitted:
            return Admission(True, used, verdict.reset_ms, held)
        # Tokens that a share leaves out of the demand cannot be the reason of a refusal.
        used = [count - whole.cost(demand) + share.cost(demand) for count, whole, share in zip(used, windows, shares, strict=True)]
        return Admission(False, used, [wait or _RETRY_MS for wait in verdict.reset_ms], held)

    async def _give_back(self) -> None:
        """Finish ended requests in the shared store, after its first answer to another request shows that it is back."""
        # Another thread may empty the queue at the same time.
        with suppress(IndexError, StoreError):
            while self._unfinished:
                await self._health.call(self._policy, self._store.finish, *self._unfinished.popleft())

    def _share(self, limit: int) -> int:
        return -(-limit // self._workers)

    def _local_leases(self, leases: Sequence[Lease]) -> list[Lease]:
        return [lease._replace(limit=self._share(lease.limit)) for lease in leases]

    def _forget(self, request_id: str) -> bool | None:
        if not self._newer and not self._older:
            return None
        newer = self._newer.pop(request_id, None)
        return self._older.pop(request_id, None) if newer is None else newer
