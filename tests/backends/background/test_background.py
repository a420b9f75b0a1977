"""Real threads, real event loops, real forks."""

import asyncio
import gc
import logging
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextvars import ContextVar
from typing import Any

import anyio
import pytest
import uvloop

from completions_mw.backends.background import AsyncBackground, BlockingBackground
from completions_mw.blocking import run_sync
from completions_mw.core.ports import Background, StoreError
from tests.support.logs import line

WAIT = 10.0
SOON = 0.001
Scenario = Callable[[], Coroutine[Any, Any, None]]
REQUEST: ContextVar[str] = ContextVar("REQUEST", default="none")


def on_asyncio(scenario: Scenario) -> None:
    asyncio.run(scenario())


def on_uvloop(scenario: Scenario) -> None:
    uvloop.run(scenario())


every_loop = pytest.mark.parametrize("on_loop", [on_asyncio, on_uvloop], ids=["asyncio", "uvloop"])


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Let no event loop complain of anything, such as a task that was destroyed."""
    yield
    gc.collect()
    assert [record for record in caplog.get_records("call") if record.name != "completions_mw"] == []


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [line(record) for record in caplog.records]


async def failing() -> None:
    raise StoreError("canary")


async def answer() -> int:
    return 42


OTHERS: set[threading.Thread] = set()
"""Threads of gateways that other tests of this process have not closed."""


@pytest.fixture(autouse=True)
def only_our_threads() -> Iterator[None]:
    OTHERS.update(upkeep_threads())
    yield
    OTHERS.clear()


def upkeep_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "completions_mw-upkeep" and thread not in OTHERS]


# Blocking


@pytest.fixture
def blocking() -> Iterator[BlockingBackground]:
    background = BlockingBackground()
    yield background
    run_sync(background.aclose())
    assert upkeep_threads() == []


class Beats:
    """Counts its calls, and lets a test wait for the next one."""

    def __init__(self) -> None:
        self.threads: set[str] = set()
        self._beat = threading.Semaphore(0)

    async def beat(self) -> None:
        self.threads.add(threading.current_thread().name)
        self._beat.release()

    async def fail(self) -> None:
        self._beat.release()
        raise StoreError("canary")

    def wait(self, times: int) -> None:
        for _ in range(times):
            assert self._beat.acquire(timeout=WAIT)


def test_blocking_work_is_completed_inline(blocking: BlockingBackground) -> None:
    assert run_sync(blocking.complete(answer())) == 42
    with pytest.raises(StoreError):
        run_sync(blocking.complete(failing()))
    assert upkeep_threads() == []


def test_one_thread_repeats_all_blocking_work(blocking: BlockingBackground) -> None:
    one, two = Beats(), Beats()
    for _ in range(3):
        blocking.keep(SOON, one.beat)
        blocking.keep(SOON, two.beat)
    one.wait(3)
    two.wait(3)
    assert one.threads == two.threads == {"completions_mw-upkeep"}
    (thread,) = upkeep_threads()
    assert thread.daemon


def test_blocking_work_waits_for_its_interval(blocking: BlockingBackground) -> None:
    rare, often = Beats(), Beats()
    blocking.keep(3600, rare.beat)
    blocking.keep(SOON, often.beat)
    often.wait(20)
    assert rare.threads == set()


def test_many_threads_start_one_thread(blocking: BlockingBackground) -> None:
    beats = Beats()
    start = threading.Barrier(8)

    def ask() -> None:
        start.wait()
        blocking.keep(SOON, beats.beat)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    beats.wait(1)
    assert len(upkeep_threads()) == 1


def test_blocking_work_that_fails_goes_on(blocking: BlockingBackground, caplog: pytest.LogCaptureFixture) -> None:
    beats = Beats()
    blocking.keep(SOON, beats.fail)
    beats.wait(5)
    run_sync(blocking.aclose())
    assert lines(caplog) == [{"event": "background_failed", "work": "Beats.fail", "error": "StoreError"}]


def test_the_thread_stops_at_once_and_may_start_again(blocking: BlockingBackground) -> None:
    beats = Beats()
    blocking.keep(3600, beats.beat)
    run_sync(blocking.aclose())
    assert upkeep_threads() == []
    blocking.keep(SOON, beats.beat)
    beats.wait(1)


def test_closing_from_within_the_work(blocking: BlockingBackground) -> None:
    closed = threading.Event()

    async def close() -> None:
        await blocking.aclose()
        closed.set()

    blocking.keep(SOON, close)
    (thread,) = upkeep_threads()
    assert closed.wait(WAIT)
    thread.join(WAIT)
    assert not thread.is_alive()


def test_too_many_threads_fail_no_request(
    blocking: BlockingBackground, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    beats = Beats()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", full)
        blocking.keep(SOON, beats.beat)
    assert [line["error"] for line in lines(caplog)] == ["RuntimeError"]
    blocking.keep(SOON, beats.beat)
    beats.wait(1)


def test_a_forked_child_has_a_thread_of_its_own(blocking: BlockingBackground) -> None:
    beats = Beats()
    blocking.keep(SOON, beats.beat)
    beats.wait(1)
    child = os.fork()
    if child == 0:
        ours = Beats()
        blocking.keep(SOON, ours.beat)
        ours.wait(2)
        run_sync(blocking.aclose())
        os._exit(len(upkeep_threads()))
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    beats.wait(2)


def test_a_process_that_never_closes_exits_in_good_order() -> None:
    code = """
import atexit, threading
from completions_mw.backends.background.blocking import BlockingBackground

begun, exiting = threading.Event(), threading.Event()
atexit.register(exiting.set)

async def work():
    begun.set()
    exiting.wait()
    print("done", flush=True)

BlockingBackground().keep(0.001, work)
begun.wait()
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "done\n"
    assert ended.stderr == ""


# Async: complete


@every_loop
def test_async_work_is_completed(on_loop: Callable[[Scenario], None]) -> None:
    async def scenario() -> None:
        background = AsyncBackground()
        assert await background.complete(answer()) == 42
        with pytest.raises(StoreError, match="canary"):
            await background.complete(failing())

    on_loop(scenario)


@every_loop
def test_async_work_sees_the_requests_context(on_loop: Callable[[Scenario], None]) -> None:
    async def seen() -> str:
        return REQUEST.get()

    async def scenario() -> None:
        REQUEST.set("req_1")
        assert await AsyncBackground().complete(seen()) == "req_1"

    on_loop(scenario)


class Work:
    """Work in two steps, which a test lets go on."""

    def __init__(self) -> None:
        self.begun = anyio.Event()
        self.go_on = anyio.Event()
        self.done = anyio.Event()

    async def run(self) -> str:
        self.begun.set()
        await self.go_on.wait()
        await anyio.lowlevel.checkpoint()
        self.done.set()
        return "result"

    async def fail(self) -> None:
        await self.run()
        raise StoreError("canary")


async def leave_by_scope(background: Background, work: Work, run_sync: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Cancel the caller's scope while the work is under way; the caller is released at once."""
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:

            async def leave() -> None:
                await work.begun.wait()
                scope.cancel()

            tasks.start_soon(leave)
            await background.complete(run_sync())
    assert scope.cancelled_caught
    assert not work.done.is_set()


@every_loop
def test_work_goes_on_when_the_callers_scope_is_cancelled(on_loop: Callable[[Scenario], None]) -> None:
    async def scenario() -> None:
        background, work = AsyncBackground(), Work()
        await leave_by_scope(background, work, work.run)
        gc.collect()
        work.go_on.set()
        with anyio.fail_after(WAIT):
            await work.done.wait()
            await background.aclose()

    on_loop(scenario)


@every_loop
def test_work_begins_though_the_caller_was_cancelled_before(on_loop: Callable[[Scenario], None]) -> None:
    async def scenario() -> None:
        background, work = AsyncBackground(), Work()
        work.go_on.set()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await background.complete(work.run())
        assert scope.cancelled_caught
        with anyio.fail_after(WAIT):
            await work.done.wait()

    on_loop(scenario)


@pytest.mark.parametrize("times", [1, 5])
def test_work_goes_on_when_the_callers_task_is_cancelled(times: int) -> None:
    async def scenario() -> None:
        background, work = AsyncBackground(), Work()
        caller = asyncio.create_task(background.complete(work.run()))
        await work.begun.wait()
        for _ in range(times):
            caller.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert not work.done.is_set()
        work.go_on.set()
        async with asyncio.timeout(WAIT):
            await work.done.wait()

    asyncio.run(scenario())


@every_loop
def test_closing_waits_for_what_is_under_way(on_loop: Callable[[Scenario], None]) -> None:
    async def scenario() -> None:
        background, work = AsyncBackground(), Work()
        await leave_by_scope(background, work, work.run)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(background.aclose)
            await anyio.wait_all_tasks_blocked()
            work.go_on.set()
        assert work.done.is_set()

    on_loop(scenario)


@every_loop
def test_a_failure_that_nobody_waits_for_is_logged(on_loop: Callable[[Scenario], None], caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        background, work = AsyncBackground(), Work()
        await leave_by_scope(background, work, work.fail)
        work.go_on.set()
        with anyio.fail_after(WAIT):
            await background.aclose()

    on_loop(scenario)
    assert lines(caplog) == [{"event": "background_failed", "work": "Work.fail", "error": "StoreError"}]


@every_loop
def test_an_answered_request_is_not_kept(on_loop: Callable[[Scenario], None]) -> None:
    class Thing:
        async def fail(self) -> None:
            raise StoreError("canary")

    async def scenario() -> None:
        background = AsyncBackground()
        thing = Thing()
        gone = weakref.ref(thing)
        gc.collect()
        gc.disable()
        try:
            with pytest.raises(StoreError):
                await background.complete(thing.fail())
            del thing
            await anyio.lowlevel.checkpoint()
            assert gone() is None
        finally:
            gc.enable()

    on_loop(scenario)


@every_loop
def test_a_loop_that_ends_meanwhile_ends_the_work(on_loop: Callable[[Scenario], None]) -> None:
    work = Work()

    async def scenario() -> None:
        await leave_by_scope(AsyncBackground(), work, work.run)

    on_loop(scenario)
    assert not work.done.is_set()


def test_a_loop_that_ends_before_the_work_begins_says_nothing() -> None:
    async def scenario() -> None:
        callers.append(asyncio.create_task(AsyncBackground().complete(answer())))

    callers: list[asyncio.Task[int]] = []
    asyncio.run(scenario())
    assert callers.pop().cancelled()


# Async: keep


class AsyncBeats:
    """Counts its calls, and lets a test wait for them."""

    def __init__(self) -> None:
        self.count = 0
        self.contexts: set[str] = set()
        self._beat = anyio.Event()

    async def beat(self) -> None:
        self.count += 1
        self.contexts.add(REQUEST.get())
        self._beat.set()

    async def fail(self) -> None:
        await self.beat()
        raise StoreError("canary")

    async def wait(self, times: int) -> None:
        with anyio.fail_after(WAIT):
            while self.count < times:
                await self._beat.wait()
                self._beat = anyio.Event()


@every_loop
def test_async_work_is_repeated_once_a_loop(on_loop: Callable[[Scenario], None]) -> None:
    async def scenario() -> None:
        background, beats, rare = AsyncBackground(), AsyncBeats(), AsyncBeats()
        background.keep(3600, rare.beat)
        background.keep(SOON, beats.beat)
        await beats.wait(3)
        background.keep(3600, beats.beat)
        await beats.wait(beats.count + 3)
        await background.aclose()
        count, others = beats.count, AsyncBeats()
        background.keep(SOON, others.beat)
        await others.wait(5)
        await background.aclose()
        assert (beats.count, rare.count) == (count, 0)

    on_loop(scenario)


@every_loop
def test_async_work_is_nobodys(on_loop: Callable[[Scenario], None]) -> None:
    async def scenario() -> None:
        background, beats = AsyncBackground(), AsyncBeats()
        REQUEST.set("req_1")
        background.keep(SOON, beats.beat)
        await beats.wait(3)
        assert beats.contexts == {"none"}
        await background.aclose()

    on_loop(scenario)


@every_loop
def test_async_work_that_fails_goes_on(on_loop: Callable[[Scenario], None], caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        background, beats = AsyncBackground(), AsyncBeats()
        background.keep(SOON, beats.fail)
        await beats.wait(5)
        await background.aclose()

    on_loop(scenario)
    assert lines(caplog) == [{"event": "background_failed", "work": "AsyncBeats.fail", "error": "StoreError"}]


@every_loop
def test_async_work_is_cancelled_at_the_end(on_loop: Callable[[Scenario], None]) -> None:
    async def scenario() -> None:
        background, begun, ended = AsyncBackground(), anyio.Event(), anyio.Event()

        async def endless() -> None:
            begun.set()
            try:
                await anyio.sleep_forever()
            finally:
                ended.set()

        background.keep(SOON, endless)
        with anyio.fail_after(WAIT):
            await begun.wait()
            await background.aclose()
        assert ended.is_set()

    on_loop(scenario)


@every_loop
def test_it_may_start_again(on_loop: Callable[[Scenario], None]) -> None:
    async def scenario() -> None:
        background, beats = AsyncBackground(), AsyncBeats()
        for times in (2, 4):
            background.keep(SOON, beats.beat)
            await beats.wait(times)
            await background.aclose()

    on_loop(scenario)


@every_loop
def test_each_loop_has_its_own(on_loop: Callable[[Scenario], None]) -> None:
    background = AsyncBackground()
    for _ in range(3):
        beats = AsyncBeats()

        async def scenario(beats: AsyncBeats = beats) -> None:
            background.keep(SOON, beats.beat)
            await beats.wait(2)

        on_loop(scenario)


async def _idle(background: AsyncBackground) -> None:
    beats = AsyncBeats()
    background.keep(SOON, beats.beat)
    await beats.wait(2)


async def _busy(background: AsyncBackground) -> None:
    begun = anyio.Event()
    # Not kept by the work itself: the event would keep the loop.
    events = [begun]

    async def endless() -> None:
        events.pop().set()
        await anyio.sleep_forever()

    background.keep(SOON, endless)
    with anyio.fail_after(WAIT):
        await begun.wait()


@pytest.mark.parametrize("work", [_idle, _busy], ids=["idle", "busy"])
@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_loop_that_ended_without_closing_is_not_kept(
    new_loop: Callable[[], asyncio.AbstractEventLoop], work: Callable[[AsyncBackground], Awaitable[None]]
) -> None:
    background = AsyncBackground()

    async def scenario() -> "weakref.ref[asyncio.AbstractEventLoop]":
        await work(background)
        return weakref.ref(asyncio.get_running_loop())

    with asyncio.Runner(loop_factory=new_loop) as runner:
        loop = runner.run(scenario())
    del runner
    gc.collect()
    assert loop() is None


def test_a_loop_that_is_closed_without_cancelling_says_nothing() -> None:
    background = AsyncBackground()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(_idle(background))
    loop.close()
    gone = weakref.ref(loop)
    del loop
    gc.collect()
    assert gone() is None


def test_everything_is_logged_at_error(caplog: pytest.LogCaptureFixture, blocking: BlockingBackground) -> None:
    beats = Beats()
    blocking.keep(SOON, beats.fail)
    beats.wait(2)
    run_sync(blocking.aclose())
    assert {(record.name, record.levelno) for record in caplog.records} == {("completions_mw", logging.ERROR)}


def test_what_ran_in_an_event_loop_that_has_ended_is_not_alive() -> None:
    background = AsyncBackground()

    async def ask() -> Callable[[], bool]:
        is_alive = background.liveness()
        assert is_alive()
        assert background.liveness() is is_alive
        return is_alive

    assert not asyncio.run(ask())()
