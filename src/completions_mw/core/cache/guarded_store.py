"""The response store as requests use it: while it is down, requests go on without it (docs/promises.md, Stores that fail)."""

from typing import Final

from completions_mw.core.ports import (
    CacheKey,
    Claim,
    FoundAnswer,
    PurgeFilter,
    ResponseStore,
    SharedResponseStore,
    StoreContents,
    StoredAnswer,
    StoreError,
)
from completions_mw.core.resilience.store_health import StoreHealth

NOTHING_CLAIMED: Final = Claim(is_granted=True)
"""Claim of a process that cannot ask others: it calls the upstream, without a lease."""


class GuardedResponses:
    """A response store whose failures are misses, with answers of a shared one kept in memory for a while.

    Args:
        memory: store in memory.
        shared: store that processes share; None to use `memory` alone.
        health: breaker and log of the shared store.
        memory_ms: milliseconds for which answers of the shared store are kept in memory; 0 for never.
    """

    def __init__(self, memory: ResponseStore, shared: SharedResponseStore | None, health: StoreHealth, memory_ms: int = 0) -> None:
        self._store: ResponseStore = memory if shared is None else shared
        self._shared = shared
        self._health = health
        self._copies = memory if shared is not None and memory_ms else None
        """Answers of the shared store in memory."""
        self.near = memory if shared is None else self._copies
        """The answers in the memory of this process; None where there are none."""
        self._memory_ms = memory_ms

    @property
    def is_shared(self) -> bool:
        """Whether other processes use the store too."""
        return self._shared is not None

    async def get(self, key: CacheKey) -> tuple[FoundAnswer | None, bool]:
        """Return the answer under a key, None if there is none, and whether the store could be asked."""
        if self._shared is None:
            # Memory does not fail.
            return await self._store.get(key), True
        if self._copies is not None and (near := await self._copies.get(key)) is not None:
            return near, True
        try:
            found = await self._health.call("bypass", self._store.get, key)
        except StoreError:
            return None, False
        if found is not None and self._copies is not None:
            await self._copies.put(key, found.answer, min(self._memory_ms, found.left_ms), found.age_ms)
        return found, True

    async def put(self, key: CacheKey, answer: StoredAnswer, ttl_ms: int) -> bool:
        """Store an answer; return whether the store has taken it."""
        if self._copies is not None:
            await self._copies.put(key, answer, min(self._memory_ms, ttl_ms))
        try:
            await self._health.call("bypass", self._store.put, key, answer, ttl_ms)
        except StoreError:
            return False
        return True

    async def claim(self, key: CacheKey, owner: str, lease_ms: int) -> Claim:
        """Claim the call for a key; granted if other processes cannot be asked."""
        if self._shared is None:
            return NOTHING_CLAIMED
        try:
            return await self._health.call("bypass", self._shared.claim, key, owner, lease_ms)
        except StoreError:
            return NOTHING_CLAIMED

    async def renew(self, owners: dict[CacheKey, str], lease_ms: int) -> None:
        """Extend leases, given by key with their owner. A failure is ignored: another process may then call the upstream too."""
        if self._shared is not None and owners:
            try:
                await self._health.call("bypass", self._shared.renew, owners, lease_ms)
            except StoreError:
                return

    async def release(self, key: CacheKey, owner: str, open_ms: int) -> None:
        """End a lease (see `FlightLeases.release`); one that cannot be ended expires."""
        if self._shared is not None:
            try:
                await self._health.call("bypass", self._shared.release, key, owner, open_ms)
            except StoreError:
                return

    async def purge(self, selected: PurgeFilter) -> int:
        """Remove answers and return how many were removed.

        Raises:
            StoreError: the store does not answer.
        """
        if self._copies is not None:
            await self._copies.purge(selected)
        return await self._store.purge(selected)

    async def contents(self) -> StoreContents:
        """Return what the store holds.

        Raises:
            StoreError: the store does not answer.
        """
        return await self._store.contents()

    async def aclose(self) -> None:
        await self._store.aclose()
