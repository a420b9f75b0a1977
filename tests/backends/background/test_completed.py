"""Background work that is completed on an event loop, whatever becomes of whoever asked for it."""

import asyncio
import gc
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest

from completions_mw.backends.background import AsyncBackground
from completions_mw.core.ports import Background, StoreError
from tests.backends.background.conftest import REQUEST, WAIT, Scenario, answer, every_loop, failing, lines
from tests.support.forked import in_child


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


def test_what_ran_in_an_event_loop_that_has_ended_is_not_alive() -> None:
    background = AsyncBackground()

    async def ask() -> Callable[[], bool]:
        is_alive = background.keep(3600, background.aclose)
        assert is_alive()
        assert background.keep(3600, background.aclose) is is_alive
        assert in_child(is_alive) is False, "what runs in a process does not go on in its child"
        return is_alive

    assert not asyncio.run(ask())()
