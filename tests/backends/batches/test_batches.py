"""Calls that wait for a store together are made together, each with its own answer."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from completions_mw.backends.batches import Bounds
from completions_mw.backends.batches.asynchronous import AsyncBatches
from completions_mw.backends.batches.blocking import BlockingBatches
from completions_mw.backends.batches.queue import LANE_SECONDS, MAX_BATCH, BatchQueue, Waiting
from completions_mw.blocking import run_sync
from completions_mw.core.ports import StoreError, StoreOverloadedError, StoreRefusalError
from tests.support.fake_clock import FakeClock
from tests.support.waiting import wait_until

WAITING = 40
PLENTY = Bounds()


class Store:
    """Takes numbers, doubles them, and refuses the number 13. Its first batch waits until it may end."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.failure: Exception | None = None

    def answers(self, batch: Sequence[int]) -> list[int | Exception]:
        if self.failure is not None and len(self.batches) > 1:
            raise self.failure
        return [StoreRefusalError("13") if number == 13 else 2 * number for number in batch]


class BlockingStore(Store):
    """A store of threads."""

    def __init__(self, bounds: Bounds = PLENTY, lanes: int = 1) -> None:
        super().__init__()
        self.may_end = threading.Event()
        self.calls: BlockingBatches[int, int] = BlockingBatches(self._make, bounds, lanes)

    async def _make(self, batch: list[int]) -> list[int | Exception]:
        self.batches.append(batch)
        if len(self.batches) == 1:
            assert self.may_end.wait(60)
        return self.answers(batch)


class AsyncStore(Store):
    """A store of an event loop."""

    def __init__(self, bounds: Bounds = PLENTY, lanes: int = 1) -> None:
        super().__init__()
        self.has_begun, self.may_end = asyncio.Event(), asyncio.Event()
        self.calls: AsyncBatches[int, int] = AsyncBatches(self._make, bounds, lanes)

    async def _make(self, batch: list[int]) -> list[int | Exception]:
        self.batches.append(batch)
        self.has_begun.set()
        if len(self.batches) == 1:
            await self.may_end.wait()
        return self.answers(batch)


Outcome = int | BaseException


def in_threads(numbers: Sequence[int], *, bounds: Bounds = PLENTY, refusable: bool = False, failure: Exception | None = None) -> Any:
    """Make the first call, and all the others while it is under way; return the store and the outcomes."""
    store = BlockingStore(bounds)
    store.failure = failure

    def call(number: int, refusable: bool) -> int:
        return run_sync(store.calls(number, refusable=refusable))

    with ThreadPoolExecutor(len(numbers)) as pool:
        first = pool.submit(call, numbers[0], False)
        wait_until(lambda: bool(store.batches))
        others = [pool.submit(call, number, refusable) for number in numbers[1:]]
        wait_until(lambda: len(store.calls._queue._calls) + sum(other.done() for other in others) == len(others))
        store.may_end.set()
        outcomes: list[Outcome] = [future.exception() or future.result() for future in (first, *others)]
    return store, outcomes


def on_a_loop(numbers: Sequence[int], *, bounds: Bounds = PLENTY, refusable: bool = False, failure: Exception | None = None) -> Any:
    """Make the first call, and all the others while it is under way; return the store and the outcomes."""

    async def play() -> tuple[AsyncStore, list[Outcome]]:
        store = AsyncStore(bounds)
        store.failure = failure
        first = asyncio.create_task(store.calls(numbers[0]))
        await store.has_begun.wait()
        others = [asyncio.create_task(store.calls(number, refusable=refusable)) for number in numbers[1:]]
        await asyncio.sleep(0)
        store.may_end.set()
        return store, await asyncio.gather(first, *others, return_exceptions=True)

    return asyncio.run(play())


Play = Callable[..., Any]
every_kind = pytest.mark.parametrize("play", [in_threads, on_a_loop], ids=["blocking", "async"])


@every_kind
def test_those_who_wait_are_served_together(play: Play) -> None:
    numbers = [*range(100, 100 + WAITING)]
    store, outcomes = play(numbers)
    assert outcomes == [2 * number for number in numbers]
    assert [len(batch) for batch in store.batches] == [1, WAITING - 1]


@every_kind
def test_the_refusal_of_one_is_no_failure_of_another(play: Play) -> None:
    _, outcomes = play([1, 12, 13, 14])
    assert [outcomes[0], outcomes[1], outcomes[3]] == [2, 24, 28]
    assert isinstance(outcomes[2], StoreRefusalError)


@every_kind
def test_a_failure_is_told_to_all_of_its_batch_and_to_nobody_else(play: Play) -> None:
    _, outcomes = play([1, 2, 3], failure=StoreError("down"))
    assert outcomes[0] == 2
    assert [str(error) for error in outcomes[1:]] == ["down", "down"]
    assert outcomes[1] is not outcomes[2]


@every_kind
def test_a_batch_is_bounded(play: Play) -> None:
    store, _ = play([*range(MAX_BATCH + 20)])
    assert [len(batch) for batch in store.batches] == [1, MAX_BATCH, 19]


@every_kind
def test_more_than_may_wait_are_refused_and_not_called(play: Play) -> None:
    store, outcomes = play([*range(100, 106)], bounds=Bounds(calls=2, seconds=60), refusable=True)
    assert sum(isinstance(outcome, StoreOverloadedError) for outcome in outcomes) == 3
    assert sorted(map(len, store.batches)) == [1, 2]


@every_kind
def test_who_has_waited_for_too_long_is_refused_and_not_called(play: Play) -> None:
    store, outcomes = play([1, 2, 3], bounds=Bounds(calls=10, seconds=-1), refusable=True)
    assert [type(outcome) for outcome in outcomes[1:]] == [StoreOverloadedError] * 2
    assert store.batches[1:] == []


@every_kind
def test_what_must_not_be_refused_never_is(play: Play) -> None:
    numbers = [*range(100, 120)]
    _, outcomes = play(numbers, bounds=Bounds(calls=1, seconds=-1))
    assert outcomes == [2 * number for number in numbers]


def test_who_is_cancelled_while_waiting_is_not_called() -> None:
    async def play() -> None:
        store = AsyncStore()
        first, second, third = (asyncio.create_task(store.calls(number)) for number in (1, 2, 3))
        del second, third
        await store.has_begun.wait()
        waiting, leaving = asyncio.create_task(store.calls(4)), asyncio.create_task(store.calls(5))
        await asyncio.sleep(0)
        leaving.cancel()
        store.may_end.set()
        assert (await first, await waiting) == (2, 8)
        assert leaving.cancelled()
        assert store.batches == [[1, 2, 3], [4]]

    asyncio.run(play())


def test_a_batch_goes_on_without_those_who_were_cancelled() -> None:
    async def play() -> None:
        store = AsyncStore()
        leaving, waiting = asyncio.create_task(store.calls(1)), asyncio.create_task(store.calls(2))
        await store.has_begun.wait()
        leaving.cancel()
        store.may_end.set()
        assert await waiting == 4
        assert store.batches == [[1, 2]]

    asyncio.run(play())


class _Caller(Waiting):
    __slots__ = ()

    def is_wanted(self) -> bool:
        return True


def test_a_second_lane_is_for_what_waits_behind_a_long_batch() -> None:
    time = FakeClock()
    queue: BatchQueue[_Caller] = BatchQueue(PLENTY, lanes=2, clock=time.clock())

    def begun(caller: str = "") -> int:
        queue.add(_Caller(), refusable=False, caller=caller)
        batches.append(queue.begin())
        return len(batches[-1])

    batches: list[list[_Caller]] = []
    assert (begun(), begun()) == (1, 0)
    time.advance(2 * LANE_SECONDS)
    assert begun() == 2
    time.advance(2 * LANE_SECONDS)
    assert begun() == 0
    queue.end(batches[0])
    assert begun() == 2


def test_two_lanes_never_have_calls_of_the_same_caller() -> None:
    """They would wait for each other in the store, which would look slow."""
    time = FakeClock()
    queue: BatchQueue[_Caller] = BatchQueue(PLENTY, lanes=2, clock=time.clock())

    def begun(*callers: str) -> list[_Caller]:
        for caller in callers:
            queue.add(_Caller(), refusable=False, caller=caller)
        time.advance(1)
        return queue.begin()

    first = begun("key:a", "key:a")
    assert [waiting.caller for waiting in begun("key:a", "key:b", "")] == ["key:b", ""]
    queue.end(first)
    assert [waiting.caller for waiting in begun()] == ["key:a"]


GREENLETS = """
from gevent import monkey
monkey.patch_all()
import gevent
from gevent.event import Event
from completions_mw.backends.batches import Bounds
from completions_mw.backends.batches.blocking import BlockingBatches
from completions_mw.blocking import run_sync

may_end, made = Event(), []

async def make(batch):
    made.append(batch)
    if len(made) == 1:
        may_end.wait()
    return batch

calls = BlockingBatches(make, Bounds())
first, leader, follower = (gevent.spawn(lambda number=number: run_sync(calls(number))) for number in range(3))
gevent.sleep(0)
# It has been told to make the next batch, and is killed before it can.
leader.link(lambda _: None)
may_end.set()
gevent.spawn(leader.kill)
gevent.joinall([first, leader, follower])
assert (first.value, follower.value) == (0, 2), (first.value, follower.value)
print(run_sync(calls(7)))
"""


def test_a_greenlet_that_is_killed_leaves_nobody_waiting() -> None:
    done = subprocess.run([sys.executable, "-c", GREENLETS], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == ("7\n", "", 0)


def test_a_batch_that_is_interrupted_leaves_nobody_waiting() -> None:
    """As by a signal whose handler raises, in the thread that makes the batch for others."""
    started, may_end = threading.Event(), threading.Event()

    async def interrupted(batch: list[int]) -> list[int]:
        if 1 in batch:
            started.set()
            assert may_end.wait(60)
            raise KeyboardInterrupt
        return batch

    calls: BlockingBatches[int, int] = BlockingBatches(interrupted, Bounds())

    def call(number: int) -> int:
        return run_sync(calls(number))

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(call, 1)
        assert started.wait(60)
        second = pool.submit(call, 2)
        may_end.set()
        with pytest.raises(KeyboardInterrupt):
            first.result()
        assert second.result() == 2
