"""Admission stores of every kind behind one face: a test says what is asked and how time passes."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from completions_mw.backends.admission import CheckedAdmissionStore, admission_store
from completions_mw.backends.memory.admission import MemoryAdmission
from completions_mw.blocking import run_sync
from completions_mw.core.costs.tokens import TokenEstimate
from completions_mw.core.ports import Admission, AdmissionStore, Lease, Window
from tests.support.fake_clock import FakeClock
from tests.support.redis_server import RedisServer

T = TypeVar("T")

LEASE_MS = 30_000
PATIENT = "?socket_timeout=20"
"""For tests that are not about time: this machine may be busy."""

_LATER = """
for _, key in ipairs(redis.call('KEYS', '*')) do
  local left = redis.call('PTTL', key)
  if redis.call('TYPE', key).ok == 'zset' then
    for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do
      redis.call('ZINCRBY', key, '-' .. ARGV[1], member)
    end
  end
  if left <= tonumber(ARGV[1]) then
    redis.call('DEL', key)
  else
    redis.call('PEXPIRE', key, string.format('%.0f', left - tonumber(ARGV[1])))
  end
end
"""


class Reserved(NamedTuple):
    """A limit on tokens, and how many of them a request reserves."""

    window: Window
    tokens: int


def requests(bucket: str, limit: int = 10, seconds: int = 60) -> Window:
    return Window(bucket, limit, seconds, counts_tokens=False)


def tokens(bucket: str, cost: int, limit: int = 1000, seconds: int = 60) -> Reserved:
    return Reserved(Window(bucket, limit, seconds, counts_tokens=True), cost)


async def admit(store: AdmissionStore, request_id: str, *limits: Window | Reserved | Lease, lease_ms: int = LEASE_MS) -> Admission:
    """Ask a store for a request that reserves the same number of tokens under each of its limits on tokens."""
    windows = [limit.window if isinstance(limit, Reserved) else limit for limit in limits if not isinstance(limit, Lease)]
    leases = [limit for limit in limits if isinstance(limit, Lease)]
    [reserved] = {limit.tokens for limit in limits if isinstance(limit, Reserved)} or {0}
    answer = await store.admit(request_id, windows, leases, TokenEstimate(0, 0, reserved, reserved, client_set_max=True), lease_ms)
    # Without what a store keeps with its answer.
    return Admission(answer.admitted, answer.used, answer.reset_ms, answer.held)


class Stand(Protocol):
    """A store, driven from a plain function."""

    def admit(self, request_id: str, *limits: Window | Reserved | Lease, lease_ms: int = LEASE_MS) -> Admission: ...
    def renew(self, holds: Mapping[str, Sequence[Lease]], lease_ms: int = LEASE_MS) -> list[str]: ...
    def finish(self, request_id: str, tokens: int | None = None) -> None: ...
    def advance(self, seconds: float) -> None: ...
    def forget(self) -> None: ...
    def close(self) -> None: ...


class _Stand:
    store: CheckedAdmissionStore

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return run_sync(work)

    def admit(self, request_id: str, *limits: Window | Reserved | Lease, lease_ms: int = LEASE_MS) -> Admission:
        return self.run(admit(self.store, request_id, *limits, lease_ms=lease_ms))

    def renew(self, holds: Mapping[str, Sequence[Lease]], lease_ms: int = LEASE_MS) -> list[str]:
        return self.run(self.store.renew(holds, lease_ms))

    def finish(self, request_id: str, tokens: int | None = None) -> None:
        self.run(self.store.finish(request_id, tokens))

    def close(self) -> None:
        self.run(self.store.aclose())


class MemoryStand(_Stand):
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.forget()

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def forget(self) -> None:
        self.store = MemoryAdmission(self.clock.clock())


class RedisStand(_Stand):
    """Time passes by moving every end in Redis towards now."""

    blocking = True

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.store = admission_store(server.url + PATIENT, "test", blocking=self.blocking)

    def advance(self, seconds: float) -> None:
        self.server.command("EVAL", _LATER, 0, int(seconds * 1000))

    def forget(self) -> None:
        self.server.flush()


class AsyncRedisStand(RedisStand):
    blocking = False

    def __init__(self, server: RedisServer) -> None:
        super().__init__(server)
        self.runner = asyncio.Runner()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def close(self) -> None:
        super().close()
        self.runner.close()
