"""A cache of key look-ups, also of those that found no key."""

from collections.abc import Callable, Sequence
from threading import Lock
from typing import NamedTuple

from cachetools import LRUCache

from completions_mw.backends.ownership import PerProcess
from completions_mw.core.ports import Clock, FoundKey, KeyRecord, KeyStore, SecretRecord


class _CachedLookup(NamedTuple):
    found: FoundKey | None
    until: float
    """Monotonic time in seconds at which the entry expires."""


class CachedKeys(PerProcess):
    """Caches key look-ups of a key store for `age` seconds, in each process.

    A write through this object takes effect at once in this process, and within `age` seconds in others. Failures are not cached.

    Args:
        store: where the keys are.
        clock: its monotonic time is used.
        age: seconds for which a look-up is cached; 0 caches nothing.
        size: keys that are cached at most, and also look-ups without a key: an attacker who sends many wrong keys cannot evict the
            good ones.
    """

    def __init__(self, store: KeyStore, clock: Clock, age: float, size: int = 10_000) -> None:
        self._store = store
        self._clock = clock
        self._age = age
        self._size = size
        super().__init__()

    def reset(self) -> None:
        self._known: LRUCache[bytes, _CachedLookup] = LRUCache(self._size)
        self._unknown: LRUCache[bytes, _CachedLookup] = LRUCache(self._size)
        self._lock = Lock()
        self._writes = 0

    async def find(self, digest: bytes) -> FoundKey | None:
        now = self._clock.monotonic()
        entry: _CachedLookup | None
        with self._lock:
            try:
                # Half of the calls that `get` makes.
                entry = self._known[digest]
            except KeyError:
                entry = self._unknown.get(digest)
            writes = self._writes
        if entry is not None and now < entry.until:
            return entry.found
        found = await self._store.find(digest)
        # The age counts from before the look-up, since the key may have been changed while the look-up was under way.
        self._remember(digest, _CachedLookup(found, now + self._age), writes)
        return found

    async def insert(self, keys: Sequence[FoundKey]) -> None:
        try:
            await self._store.insert(keys)
        finally:
            self._forget()

    async def change(self, id: str, change: Callable[[KeyRecord], KeyRecord]) -> KeyRecord | None:
        try:
            return await self._store.change(id, change)
        finally:
            self._forget()

    async def rotate(self, id: str, secret: SecretRecord, old_until: float) -> bool:
        try:
            return await self._store.rotate(id, secret, old_until)
        finally:
            self._forget()

    async def get(self, id: str) -> KeyRecord | None:
        return await self._store.get(id)

    async def list(self, tenant: str | None = None) -> list[KeyRecord]:
        return await self._store.list(tenant)

    def _remember(self, digest: bytes, entry: _CachedLookup, writes: int) -> None:
        if not self._age:
            return
        cache, other = (self._unknown, self._known) if entry.found is None else (self._known, self._unknown)
        with self._lock:
            # The look-up may have missed a write that came after it began.
            if writes == self._writes:
                cache[digest] = entry
                other.pop(digest, None)

    def _forget(self) -> None:
        # All entries, which expire soon anyway; also after a failure, since the store may have done the write.
        with self._lock:
            self._writes += 1
            self._known.clear()
            self._unknown.clear()
