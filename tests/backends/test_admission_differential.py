"""Memory and Redis do the same, whatever they are asked in whatever order."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from completions_mw.core.ports import Admission, Lease, Window
from tests.support.admission import AsyncRedisStand, MemoryStand, RedisStand, Reserved
from tests.support.redis_server import RedisServer

UNIT = 1000
"""Seconds: so long that what really passes during an example decides nothing."""
WINDOWS = st.lists(
    st.builds(
        Window,
        bucket=st.sampled_from(["a", "b:c", "{d}"]),
        limit=st.integers(0, 12),
        seconds=st.sampled_from([3 * UNIT, 5 * UNIT]),
        counts_tokens=st.booleans(),
    ),
    max_size=3,
    unique_by=lambda window: window.bucket,
)
PLACES = {"r0": [], "r1": ["a"], "r2": ["s"], "r3": ["a", "s"], "r4": ["s", "a"], "r5": ["s"]}
"""Whatever happens to a request, its slots are the same."""
LIMITS = st.integers(1, 3)
IDS = st.sampled_from(sorted(PLACES))
LEASES = st.sampled_from([2 * UNIT * 1000, 4 * UNIT * 1000])
Demands = dict[str, tuple[list[Window], int]]
DEMANDS = st.fixed_dictionaries(dict.fromkeys(PLACES, st.tuples(WINDOWS, st.integers(0, 6))))
"""The same request asks for the same."""
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("admit"), IDS, LIMITS, LEASES),
        st.tuples(st.just("finish"), IDS, st.none() | st.integers(0, 12)),
        st.tuples(st.just("renew"), st.lists(IDS, max_size=3, unique=True), LIMITS, LEASES),
        st.tuples(st.just("advance"), st.sampled_from([UNIT, 2 * UNIT, 5 * UNIT])),
    ),
    max_size=40,
)


@pytest.fixture(params=[RedisStand, AsyncRedisStand], ids=["blocking", "async"])
def redis_stand(request: pytest.FixtureRequest, own_redis: RedisServer) -> Iterator[RedisStand]:
    made = request.param(own_redis)
    yield made
    made.close()


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(demands=DEMANDS, steps=STEPS)
def test_memory_and_redis_agree(redis_stand: RedisStand, demands: Demands, steps: list[tuple[Any, ...]]) -> None:
    memory = MemoryStand()
    redis_stand.forget()
    for step in steps:
        expected, actual = (apply(stand, demands, *step) for stand in (memory, redis_stand))
        assert coarse(actual) == coarse(expected)


def apply(stand: MemoryStand | RedisStand, demands: Demands, kind: str, *values: Any) -> object:
    if kind == "admit":
        request_id, limit, lease_ms = values
        windows, tokens = demands[request_id]
        limits = [Reserved(window, tokens) if window.counts_tokens else window for window in windows]
        return stand.admit(request_id, *limits, *slots_of(request_id, limit), lease_ms=lease_ms)
    if kind == "renew":
        request_ids, limit, lease_ms = values
        return stand.renew({request_id: slots_of(request_id, limit) for request_id in request_ids}, lease_ms)
    return stand.finish(*values) if kind == "finish" else stand.advance(*values)


def slots_of(request_id: str, limit: int) -> list[Lease]:
    return [Lease(bucket, limit) for bucket in PLACES[request_id]]


def coarse(answer: object) -> object:
    """Round the ends of windows up to units: in Redis, real time passes as well."""
    if not isinstance(answer, Admission):
        return answer
    return replace(answer, reset_ms=[-(-reset_ms // (UNIT * 1000)) for reset_ms in answer.reset_ms])
