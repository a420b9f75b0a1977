"""Work that one thread does for event loops, one after another."""

import asyncio
import gc
import threading
from contextlib import suppress
from weakref import ref

import pytest

from completions_mw.backends.one_thread import OneThread
from completions_mw.core.ports import StoreOverloadedError
from tests.support.waiting import wait_until

NAME = "completions_mw-test"


@pytest.fixture
def runner() -> OneThread:
    return OneThread(NAME)


def divided(one: int, other: int) -> tuple[float, str]:
    return one / other, threading.current_thread().name


def test_a_call_has_the_result_or_the_exception_of_its_work(runner: OneThread) -> None:
    async def call() -> None:
        assert await runner(divided, 6, 3) == (2.0, NAME)
        with pytest.raises(ZeroDivisionError):
            await runner(divided, 6, 0)
        assert await runner(divided, 6, 2) == (3.0, NAME)

    asyncio.run(call())


def test_calls_at_the_same_time_are_made_one_after_another_in_their_order(runner: OneThread) -> None:
    done: list[int] = []

    async def call() -> None:
        await asyncio.gather(*(runner(done.append, number) for number in range(100)))

    asyncio.run(call())
    assert done == list(range(100))


def test_a_process_with_too_many_threads_is_a_store_that_is_overloaded(runner: OneThread, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def call() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", full)
            with pytest.raises(StoreOverloadedError):
                await runner(divided, 6, 3)
        assert await runner(divided, 6, 3) == (2.0, NAME)

    asyncio.run(call())


@pytest.mark.parametrize("is_closed", [False, True], ids=["cancelled", "loop-closed"])
def test_work_that_nobody_waits_for_any_more_is_done(runner: OneThread, is_closed: bool) -> None:
    may_end, done = threading.Event(), threading.Event()

    def work() -> None:
        may_end.wait()

    async def leave() -> None:
        tasks = [asyncio.ensure_future(runner(work)), asyncio.ensure_future(runner(done.set))]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        if not is_closed:
            may_end.set()
            # The thread has answered those that have left before it answers this.
            await runner(divided, 1, 1)

    asyncio.run(leave())
    may_end.set()
    assert asyncio.run(runner(divided, 4, 2)) == (2.0, NAME)
    assert done.is_set()


def test_the_thread_ends_with_the_runner() -> None:
    asyncio.run(OneThread("completions_mw-short")(divided, 1, 1))
    wait_until(lambda: not any(thread.name == "completions_mw-short" for thread in threading.enumerate()))


def test_a_failure_leaves_nothing_to_the_garbage_collector(runner: OneThread) -> None:
    failures: list[ref[Exception]] = []

    class WorkError(Exception):
        def __init__(self) -> None:
            failures.append(ref(self))

    def fail() -> None:
        raise WorkError

    async def call() -> None:
        with suppress(WorkError):
            await runner(fail)

    gc.disable()
    try:
        asyncio.run(call())
        # The thread is done with the call before it begins this one.
        asyncio.run(runner(divided, 1, 1))
        assert [failure() for failure in failures] == [None]
    finally:
        gc.enable()
