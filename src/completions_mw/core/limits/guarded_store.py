"""The admission store as requests meet it: while it is down, each process has its share of the limits (docs/promises.md)."""

from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, Literal

from completions_mw.core.ports import Admission, AdmissionStore, Lease, LimitState, StoreError, StoreTimeoutError, Window
from completions_mw.core.resilience.store_health import StoreHealth, unavailable_error

MAX_REMEMBERED: Final = 50_000
"""Default of `GuardedAdmission`'s `max_remembered`."""
_MAX_UNHEARD: Final = 100
"""Requests to finish once the store is back; what else it holds ends with its lease or its window."""
_RETRY_MS: Final = 1000
"""For what does not fit into a share at all: the store may be back then."""


class GuardedAdmission:
    """An `AdmissionStore` that never fails but by policy. A request that it let in without the store stays with the local one.

    Args:
        store: counts for everybody.
        policy: what happens while it is down: `local` shares, nobody (`closed`) or everybody (`open`) gets in.
        local: counts the share of this process.
        workers: how many processes share the limits.
        health: of the store.
        max_remembered: requests that were let in without the store and are not finished, to remember before the older ones are forgotten.
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
        self._older: dict[str, bool] = {}
        """Both: requests that the local store let in, and whether the other one may have done so as well."""
        self._unheard: deque[tuple[str, int | None]] = deque(maxlen=_MAX_UNHEARD)
        """Requests that the store may hold something for, though they are finished or did not go on; and the tokens that they used."""

    async def admit(self, request_id: str, windows: Sequence[Window], leases: Sequence[Lease], lease_ms: int) -> Admission:
        """Let a request in by the store, or by the policy.

        Raises:
            ServiceUnavailableError: the policy is `closed`.
        """
        try:
            verdict = await self._health.call(self._policy, self._store.admit, request_id, windows, leases, lease_ms)
        except StoreError as error:
            timed_out = isinstance(error, StoreTimeoutError)
            if self._policy == "closed":
                if timed_out:
                    self._unheard.append((request_id, 0))
                text = "Rate limits cannot be checked at the moment. Please try again."
                raise unavailable_error(text, "rate_limit_unavailable") from error
        else:
            await self._give_back()
            return verdict
        if self._policy == "open":
            return _unchecked(windows, leases)
        return await self._admit_locally(request_id, windows, leases, lease_ms, timed_out)

    async def renew(self, holds: Mapping[str, Sequence[Lease]], lease_ms: int) -> list[str]:
        """Extend leases; those that cannot be extended because the store is down are not lost yet."""
        ours = {request_id: self._local_leases(leases) for request_id, leases in holds.items() if self._is_local(request_id)}
        lost = await self._local.renew(ours, lease_ms) if ours else []
        others = {request_id: leases for request_id, leases in holds.items() if request_id not in ours}
        if others:
            with suppress(StoreError):
                lost = [*lost, *await self._health.call(self._policy, self._store.renew, others, lease_ms)]
        return lost

    async def finish(self, request_id: str, tokens: int | None) -> None:
        """Give back what a request holds; what the store cannot take back ends with its window or its lease."""
        local = self._forget(request_id)
        if local is not None:
            await self._local.finish(request_id, tokens)
        if local and self._health.breaker.is_in_doubt:
            # The request has waited for the store once.
            self._unheard.append((request_id, tokens))
        elif local is not False:
            try:
                await self._health.call(self._policy, self._store.finish, request_id, tokens)
            except StoreError:
                self._unheard.append((request_id, tokens))
            else:
                await self._give_back()

    async def aclose(self) -> None:
        await self._store.aclose()
        await self._local.aclose()

    async def _admit_locally(
        self, request_id: str, windows: Sequence[Window], leases: Sequence[Lease], lease_ms: int, timed_out: bool
    ) -> Admission:
        ours, local_leases = [self._ours(window) for window in windows], self._local_leases(leases)
        verdict = await self._local.admit(request_id, ours, local_leases, lease_ms)
        if verdict.admitted:
            self._remember(request_id, timed_out)
        elif timed_out:
            self._unheard.append((request_id, 0))
        standings = tuple(_as_whole(*one, verdict.admitted) for one in zip(windows, ours, verdict.windows, strict=True))
        held = (at.used + lease.limit - our.limit for lease, our, at in zip(leases, local_leases, verdict.leases, strict=True))
        return Admission(verdict.admitted, standings, tuple(LimitState(used, 0) for used in held))

    async def _give_back(self) -> None:
        """Finish what the store has not heard of: not at once, when it would not answer either, but as soon as it answers anything."""
        # Another thread may have been quicker.
        with suppress(IndexError, StoreError):
            while self._unheard:
                await self._health.call(self._policy, self._store.finish, *self._unheard.popleft())

    def _share(self, limit: int) -> int:
        return -(-limit // self._workers)

    def _ours(self, window: Window) -> Window:
        share = self._share(window.limit)
        return window._replace(limit=share, cost=max(window.cost - window.reducible, min(window.cost, share)))

    def _local_leases(self, leases: Sequence[Lease]) -> list[Lease]:
        return [lease._replace(limit=self._share(lease.limit)) for lease in leases]

    def _is_local(self, request_id: str) -> bool:
        return request_id in self._newer or request_id in self._older

    def _remember(self, request_id: str, timed_out: bool) -> None:
        if len(self._newer) >= self._max_remembered:
            self._older, self._newer = self._newer, {}
        self._newer[request_id] = timed_out

    def _forget(self, request_id: str) -> bool | None:
        if not self._newer and not self._older:
            return None
        newer = self._newer.pop(request_id, None)
        return self._older.pop(request_id, None) if newer is None else newer


def _as_whole(window: Window, ours: Window, at: LimitState, admitted: bool) -> LimitState:
    """Return how a whole limit stands, if the other processes use their shares."""
    used = at.used + window.limit - ours.limit
    if admitted:
        return LimitState(used, at.reset_ms)
    # Without what was cut: it is not in the way, so the whole cost fits if the rest of it did.
    return LimitState(used - window.cost + ours.cost, at.reset_ms or _RETRY_MS)


def _unchecked(windows: Sequence[Window], leases: Sequence[Lease]) -> Admission:
    standings = tuple(LimitState(min(window.cost, window.limit), 0) for window in windows)
    return Admission(True, standings, tuple(LimitState(0, 0) for _ in leases))
