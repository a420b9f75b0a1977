"""The leases of calls that other processes wait for (docs/caching.md, Redis)."""

from collections.abc import Iterator

import pytest

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.flights.blocking import BlockingFlights
from completions_mw.backends.memory.responses import MemoryResponses
from completions_mw.backends.responses import shared_responses
from completions_mw.blocking import run_sync
from completions_mw.core.cache.directives import NO_DIRECTIVES
from completions_mw.core.cache.guarded_store import GuardedResponses
from completions_mw.core.cache.policy import COMPLETE_REASONS, CachePlan, CachePolicy
from completions_mw.core.cache.register import CallRegister
from completions_mw.core.ports import CacheKey
from completions_mw.core.resilience.store_health import StoreHealth
from completions_mw.settings import CacheSettings
from tests.support.admission import PATIENT
from tests.support.charging import ByHand
from tests.support.redis_server import RedisServer, own_redis, redis_server

__all__ = ["own_redis", "redis_server"]

POLICY = CachePolicy("m", b"", 1000, "always", "tenant", charge_hits=False, max_bytes=1000, reasons=COMPLETE_REASONS)
PLAN = CachePlan(CacheKey(b"k" * 32, "tenant:a", "m"), POLICY, NO_DIRECTIVES)


@pytest.fixture
def background() -> ByHand:
    return ByHand()


@pytest.fixture
def register(background: ByHand, redis_server: RedisServer) -> Iterator[CallRegister]:
    settings = CacheSettings(lease_ttl=5)
    shared = shared_responses(redis_server.url + PATIENT, "test", settings, 1000, blocking=True)
    store = GuardedResponses(MemoryResponses(SYSTEM_CLOCK, 1000), shared, StoreHealth("cache", SYSTEM_CLOCK))
    yield CallRegister(store, BlockingFlights(), background, None, settings)
    run_sync(store.aclose())


def is_renewed(register: CallRegister, redis: RedisServer) -> bool:
    """Return whether the lease lasts longer after the next renewal."""
    [lease] = redis.command("KEYS", "test:flight:*")
    redis.command("PEXPIRE", lease, 1000)
    run_sync(register.renew())
    return bool(redis.command("PTTL", lease) > 1000)


def test_the_lease_of_a_call_that_can_go_on_is_renewed(register: CallRegister, background: ByHand, redis_server: RedisServer) -> None:
    assert run_sync(register.claim(PLAN, "me")).is_leased
    assert is_renewed(register, redis_server)
    background.is_alive = False
    assert not is_renewed(register, redis_server), "its event loop has ended, and others renew nothing for it"


def test_a_lease_that_is_let_go_is_not_renewed(register: CallRegister, redis_server: RedisServer) -> None:
    assert run_sync(register.claim(PLAN, "me")).is_leased
    register.let_expire(PLAN)
    assert not is_renewed(register, redis_server)
