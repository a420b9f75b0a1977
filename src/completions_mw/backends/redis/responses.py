"""Cached answers in Redis, shared by all workers and hosts, and the leases of those that are being made."""

from collections.abc import Mapping
from hashlib import blake2b
from logging import WARNING
from typing import Final

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.redis.answer_values import VALUE_OVERHEAD, ForeignValueError, SoundValues, pack, unpack
from completions_mw.backends.redis.scripts import Argument, Scripts, Session
from completions_mw.core.ports import CacheKey, Claim, Clock, FoundAnswer, PurgeFilter, StoreContents, StoredAnswer
from completions_mw.core.resilience.throttle import Throttle
from completions_mw.core.telemetry.log import LOG_SECONDS, log_event

SCAN_COUNT: Final = 500
"""Keys that Redis looks at in one step of a purge: nothing else runs in Redis during a step."""
START: Final = b"0"
"""Cursor with which a scan begins and ends."""
_LEASED: Final = 1
_OPEN: Final = 2


class RedisResponses:
    """The `SharedResponseStore` port on Redis. Entries expire by the time of Redis; all clocks of the workers may be wrong.

    The name of a key holds digests alone, so that no text of a caller can be seen in it, or select other keys in a purge.

    Args:
        session: sends commands, blocking or async.
        namespace: prefix of all names.
        compress_above: bytes above which an answer is compressed.
        max_bytes: maximum of bytes of an answer; larger values are not read.
        clock: limits how often a line is logged.
    """

    def __init__(self, session: Session, namespace: str, compress_above: int, max_bytes: int, clock: Clock = SYSTEM_CLOCK) -> None:
        self._session = session
        self._scripts = Scripts(session, "cache", clock)
        self._answers = f"{namespace}:answer:".encode()
        self._flights = f"{namespace}:flight:".encode()
        self._compress_above = compress_above
        self._max_bytes = max_bytes
        self._sound = SoundValues()
        self._monotonic = clock.monotonic
        self._log_lines = Throttle(LOG_SECONDS)

    async def get(self, key: CacheKey) -> FoundAnswer | None:
        value, left_ms = await self._scripts.run("answer_get", [self._answer(key)], [self._max_bytes + VALUE_OVERHEAD])
        return await self._found(key, value, left_ms) if value else None

    async def put(self, key: CacheKey, answer: StoredAnswer, ttl_ms: int, age_ms: int = 0) -> None:
        value = pack(key.digest, answer, ttl_ms + age_ms, self._compress_above)
        await self._session.call("SET", self._answer(key), value, "PX", ttl_ms)

    async def claim(self, key: CacheKey, owner: str, lease_ms: int) -> Claim:
        keys = [self._answer(key), self._flight(key)]
        arguments: list[Argument] = [self._max_bytes + VALUE_OVERHEAD, owner, lease_ms]
        # A second time where the value was not ours, which removes it.
        for _ in range(2):
            value, number = await self._scripts.run("answer_claim", keys, arguments)
            if not value:
                return Claim(is_granted=number in (_LEASED, _OPEN), is_leased=number == _LEASED)
            found = await self._found(key, value, number)
            if found is not None:
                return Claim(found)
        return Claim(is_granted=True)

    async def renew(self, owners: Mapping[CacheKey, str], lease_ms: int) -> None:
        await self._scripts.run("answer_renew", [self._flight(key) for key in owners], (lease_ms, *owners.values()))

    async def release(self, key: CacheKey, owner: str, open_ms: int) -> None:
        await self._scripts.run("answer_release", [self._flight(key)], [owner, open_ms])

    async def purge(self, selected: PurgeFilter) -> int:
        model = b"*" if selected.model is None else _hashed(selected.model)
        scopes = [b"*"] if selected.scopes is None else [_hashed(label) for label in selected.scopes]
        removed = 0
        for scope in scopes:
            cursor: bytes | None = START
            while cursor is not None:
                cursor, keys = await self._scan(cursor, self._answers + scope + b":" + model + b":*")
                removed += await self._session.call("UNLINK", *keys) if keys else 0
        return removed

    async def contents(self) -> StoreContents:
        entries = size = 0
        cursor: bytes | None = START
        while cursor is not None:
            cursor, keys = await self._scan(cursor, self._answers + b"*")
            entries += len(keys)
            size += await self._scripts.run("answer_sizes", keys, []) if keys else 0
        return StoreContents(entries, size)

    async def check(self) -> list[str]:
        """Reach Redis.

        Raises:
            StoreError: Redis cannot be reached.
        """
        await self._session.call("PING")
        return []

    async def aclose(self) -> None:
        await self._session.aclose()

    async def _scan(self, cursor: bytes, pattern: bytes) -> tuple[bytes | None, list[bytes]]:
        """Return the next cursor, None at the end, and some keys that match a pattern."""
        following, keys = await self._session.call("SCAN", cursor, "MATCH", pattern, "COUNT", SCAN_COUNT)
        return (None if following == START else following), keys

    async def _found(self, key: CacheKey, value: bytes, left_ms: int) -> FoundAnswer | None:
        try:
            answer, ttl_ms = unpack(key.digest, value, self._max_bytes, self._sound)
            if left_ms < 0:
                # A value without an expiry was stored by somebody else's hand.
                raise ForeignValueError
        except ForeignValueError:
            if self._log_lines.ready(self._monotonic()):
                log_event(WARNING, "cache_value_refused", store="cache", model=key.model)
            await self._session.call("UNLINK", self._answer(key))
            return None
        return FoundAnswer(answer, max(0, ttl_ms - left_ms), left_ms)

    def _answer(self, key: CacheKey) -> bytes:
        return b"%b%b:%b:{%b}" % (self._answers, _hashed(key.scope), _hashed(key.model), key.digest.hex().encode())

    def _flight(self, key: CacheKey) -> bytes:
        return b"%b{%b}" % (self._flights, key.digest.hex().encode())


def _hashed(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest().encode()
