"""The memory store alone: bounded, and safe among threads and forks."""

import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator

import pytest

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.memory.admission import MemoryAdmission
from completions_mw.blocking import run_sync
from completions_mw.core.ports import Lease
from tests.support.admission import MemoryStand, admit, requests, tokens


@pytest.fixture
def hasty() -> Iterator[None]:
    """Switch threads as often as possible, as the race of `limits`' memory storage needs it."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def blocks() -> int:
    """Return how many pieces of memory are in use."""
    gc.collect()
    return sys.getallocatedblocks()


@pytest.mark.parametrize("count", [pytest.param(20_000, id="20000"), pytest.param(1_000_000, id="1000000", marks=pytest.mark.soak)])
def test_buckets_and_requests_that_are_over_leave_nothing(count: int) -> None:
    """None of the requests is ever finished."""
    stand = MemoryStand()

    def pass_by(first: int, last: int) -> None:
        for number in range(first, last):
            stand.admit(f"r{number}", requests(f"a{number}"), tokens(f"b{number}", 5), Lease(f"c{number}", 1))
            stand.advance(0.5)

    pass_by(0, 2_000)
    before = blocks()
    pass_by(2_000, 2_000 + count)
    assert blocks() - before < 40_000


def test_what_is_held_survives_what_is_abandoned() -> None:
    stand = MemoryStand()
    stand.admit("r", tokens("b", 900, seconds=3600))
    for number in range(3_000):
        stand.admit(f"r{number}", requests("a", limit=10**6))
        stand.advance(0.1)
    stand.finish("r", 100)
    assert stand.admit("peek", tokens("b", 0, limit=0)).used == [100]


@pytest.mark.parametrize("count", [pytest.param(20_000, id="20000"), pytest.param(1_000_000, id="1000000", marks=pytest.mark.soak)])
def test_refused_requests_leave_nothing(count: int) -> None:
    """See docs/promises.md, Bounds."""
    stand = MemoryStand()
    stand.admit("holder", Lease("full", 1))

    def refuse(first: int, last: int) -> bool:
        return any(stand.admit(f"r{number}", requests(f"a{number}"), Lease("full", 1)).admitted for number in range(first, last))

    assert not refuse(0, 100)
    before = blocks()
    assert not refuse(100, 100 + count)
    assert blocks() - before < 500


def test_finished_requests_are_forgotten() -> None:
    stand = MemoryStand()

    def serve(count: int) -> None:
        for number in range(count):
            stand.admit(f"r{number}", requests("a", limit=10**9), Lease("c", 10))
            stand.finish(f"r{number}")
            stand.advance(0.01)

    serve(3_000)
    before = blocks()
    serve(20_000)
    assert blocks() - before < 5_000


@pytest.mark.usefixtures("hasty")
def test_threads_share_a_limit_exactly() -> None:
    store = MemoryAdmission(SYSTEM_CLOCK)
    admitted: list[str] = []
    holding: set[str] = set()
    most = []

    def worker(name: int) -> None:
        for number in range(100):
            request_id = f"r{name}-{number}"
            verdict = run_sync(admit(store, request_id, requests("a", limit=1000), tokens("b", 10, limit=10**6), Lease("c", 10)))
            if verdict.admitted:
                admitted.append(request_id)
                holding.add(request_id)
                most.append(len(holding))
                holding.discard(request_id)
                run_sync(store.finish(request_id, 3))

    threads = [threading.Thread(target=worker, args=(name,)) for name in range(48)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    last = run_sync(admit(store, "last", requests("a", limit=0), tokens("b", 0, limit=10**6), Lease("c", 10)))
    assert len(admitted) <= 1000
    assert max(most) <= 10
    assert [*last.used, *last.held] == [len(admitted), 3 * len(admitted), 0]


def test_a_child_does_not_wait_for_a_thread_of_its_parent() -> None:
    store = MemoryAdmission(SYSTEM_CLOCK)
    run_sync(admit(store, "r", requests("a")))
    with store._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            verdict = run_sync(admit(store, "r", requests("a"), Lease("c", 1)))
            os._exit(0 if verdict.admitted and verdict.used == [1] else 1)
        assert os.waitpid(child, 0)[1] == 0
