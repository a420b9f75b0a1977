"""What a Redis that fails costs those who are waiting (docs/promises.md, Stores that fail): measured, so it is among the long runs."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import pytest

from tests.faults.crowd import Crowd, every_crowd, recovers, store
from tests.faults.redis_faults import FAULTS, PASSWORD, address
from tests.faults.test_stores_redis import ASK, is_in_use, is_warm, settings
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.soak
"""Real servers are stopped, and time passes: minutes, and more on a busy machine."""

REQUESTS = 1000
MOST_MS = 60.0
"""99 of 100 requests may take so much longer."""


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer("--requirepass", PASSWORD) as server:
        yield server


def milliseconds(crowd: Crowd, count: int) -> list[float]:
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        assert crowd.send(ASK).status in (200, 429)
        taken.append((time.perf_counter() - began) * 1000)
    return taken


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@every_crowd
def test_added_latency(
    kind: type[Any], fault: Callable[[RedisServer], AbstractContextManager[None]], server: RedisServer, tmp_path: Path
) -> None:
    with kind(settings(address(server.port), tmp_path)) as crowd:
        recovers(lambda: is_warm(crowd))
        usual = median(milliseconds(crowd, 100))
        with fault(server):
            first = milliseconds(crowd, 10)
            later = milliseconds(crowd, REQUESTS)
        began = time.perf_counter()
        recovers(lambda: is_in_use(crowd))
        back = time.perf_counter() - began
    added = quantiles([ms - usual for ms in first + later], n=100)[98]
    print(
        f"{kind.__name__} {fault.__name__}: usual {usual:.2f} ms; first ten {[round(ms - usual, 1) for ms in first]}; "
        f"then median {median(later) - usual:+.2f}, most {max(later) - usual:+.1f}; p99 {added:+.1f}; back after {back:.2f} s; "
        f"{store(crowd, 'admission')}"
    )
    assert added <= MOST_MS
