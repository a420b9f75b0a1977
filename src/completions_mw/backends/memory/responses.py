"""Cached answers in the memory of one process."""

from collections import OrderedDict
from dataclasses import dataclass
from sys import getsizeof
from threading import Lock
from typing import Final

from completions_mw.backends.ownership import PerProcess
from completions_mw.core.ports import CacheKey, Clock, FoundAnswer, PurgeFilter, StoreContents, StoredAnswer

ENTRY_BYTES: Final = 700
"""Bytes that one entry takes beside its texts: the entry, its numbers, its places in the tables of the cache, and what the allocator cannot
use between texts of other sizes. Measured: `test_response_bounds.py` checks it."""


@dataclass(slots=True)
class _Entry:
    answer: StoredAnswer
    scope: str
    model: str
    stored: float
    """Time at which the answer was stored, in seconds of the monotonic clock."""
    until: float
    """Time at which the entry expires."""

    @property
    def size(self) -> int:
        """Bytes that the entry takes."""
        return ENTRY_BYTES + _allocated(self.answer.texts) + _allocated(self.scope)


class MemoryResponses(PerProcess):
    """The `ResponseStore` port in memory, bounded in bytes: the answers that were used least recently are dropped.

    Each process has its own, and a forked child begins with an empty one.

    Args:
        clock: its monotonic time is used, so that a wall clock that is set back keeps no answer for longer.
        max_bytes: maximum of bytes of all entries together.
    """

    def __init__(self, clock: Clock, max_bytes: int) -> None:
        self._now = clock.monotonic
        self._max_bytes = max_bytes
        super().__init__()

    def reset(self) -> None:
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        """The entries by the digest of their keys, the one that was used least recently first."""
        self._bytes = 0
        """Bytes of all entries."""
        self._lock = Lock()

    async def get(self, key: CacheKey) -> FoundAnswer | None:
        now = self._now()
        entry = self._entries.get(key.digest)
        if entry is None or now >= entry.until:
            return None
        try:
            self._entries.move_to_end(key.digest)
        except KeyError:
            # Another thread has removed the entry meanwhile. Each call of the table is atomic, so that no lock is needed.
            return None
        return FoundAnswer(entry.answer, int((now - entry.stored) * 1000), int((entry.until - now) * 1000))

    async def put(self, key: CacheKey, answer: StoredAnswer, ttl_ms: int, age_ms: int = 0) -> None:
        now = self._now()
        entry = _Entry(answer, key.scope, key.model, now - age_ms / 1000, now + ttl_ms / 1000)
        size = entry.size
        if size > self._max_bytes:
            return
        with self._lock:
            self._drop(key.digest)
            while self._bytes + size > self._max_bytes:
                _, oldest = self._entries.popitem(last=False)
                self._bytes -= oldest.size
            self._entries[key.digest] = entry
            self._bytes += size

    async def purge(self, selected: PurgeFilter) -> int:
        scopes, model = selected
        with self._lock:
            found = [
                digest
                # Of a copy, since `get` moves entries without the lock.
                for digest, entry in self._entries.copy().items()
                if (scopes is None or entry.scope in scopes) and (model is None or entry.model == model)
            ]
            for digest in found:
                self._drop(digest)
        return len(found)

    async def contents(self) -> StoreContents:
        with self._lock:
            return StoreContents(len(self._entries), self._bytes)

    async def aclose(self) -> None: ...

    def _drop(self, digest: bytes) -> None:
        """Remove an entry, if there is one; the caller holds the lock."""
        entry = self._entries.pop(digest, None)
        if entry is not None:
            self._bytes -= entry.size


def _allocated(text: bytes | str) -> int:
    """Return the bytes that a text takes, as the allocator rounds them: to 16."""
    return -(-getsizeof(text) // 16) * 16
