"""Cached answers in the memory of one process."""

from sys import getsizeof
from threading import Lock
from typing import Final, NamedTuple

from cachetools import LRUCache

from completions_mw.backends.ownership import PerProcess
from completions_mw.core.ports import CacheKey, Clock, FoundAnswer, PurgeFilter, StoreContents, StoredAnswer

ENTRY_BYTES: Final = 750
"""Bytes that one entry takes beside its texts: the entry, its numbers, its places in the tables of the cache, and what the allocator cannot
use between texts of other sizes. Measured: `test_response_bounds.py` checks it."""


class _Entry(NamedTuple):
    texts: bytes
    """The texts of the answer one after the other: one object leaves fewer gaps in memory than three."""
    chunks_at: int
    usage_at: int
    target: str
    scope: str
    model: str
    stored: float
    """Time at which the answer was stored, in seconds of the monotonic clock."""
    until: float
    """Time at which the entry expires."""

    def answer(self) -> StoredAnswer:
        texts, chunks_at, usage_at = self.texts, self.chunks_at, self.usage_at
        return StoredAnswer(texts[:chunks_at], texts[chunks_at:usage_at], texts[usage_at:], self.target)


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
        self._entries: LRUCache[bytes, _Entry] = LRUCache(self._max_bytes, _size_of)
        self._lock = Lock()

    async def get(self, key: CacheKey) -> FoundAnswer | None:
        now = self._now()
        with self._lock:
            entry = self._entries.get(key.digest)
        if entry is None or now >= entry.until:
            return None
        return FoundAnswer(entry.answer(), int((now - entry.stored) * 1000), int((entry.until - now) * 1000))

    async def put(self, key: CacheKey, answer: StoredAnswer, ttl_ms: int, age_ms: int = 0) -> None:
        now = self._now()
        body, chunks, usage, target = answer
        chunks_at = len(body)
        times = (now - age_ms / 1000, now + ttl_ms / 1000)
        entry = _Entry(body + chunks + usage, chunks_at, chunks_at + len(chunks), target, key.scope, key.model, *times)
        if _size_of(entry) > self._max_bytes:
            return
        with self._lock:
            self._entries[key.digest] = entry

    async def purge(self, selected: PurgeFilter) -> int:
        scopes, model = selected
        with self._lock:
            found = [
                digest
                for digest, entry in self._entries.items()
                if (scopes is None or entry.scope in scopes) and (model is None or entry.model == model)
            ]
            for digest in found:
                del self._entries[digest]
        return len(found)

    async def contents(self) -> StoreContents:
        with self._lock:
            return StoreContents(len(self._entries), int(self._entries.currsize))

    async def aclose(self) -> None: ...


def _size_of(entry: _Entry) -> int:
    return ENTRY_BYTES + _allocated(entry.texts) + _allocated(entry.scope)


def _allocated(text: bytes | str) -> int:
    """Return the bytes that a text takes, as the allocator rounds them: to 16."""
    return -(-getsizeof(text) // 16) * 16
