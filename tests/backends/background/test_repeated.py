"""Work that an event loop repeats in the background, for as long as it runs."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable

import anyio
import pytest
import uvloop

from completions_mw.backends.background import AsyncBackground
from completions_mw.core.ports import StoreError
from tests.backends.background.conftest import REQUEST, SOON, WAIT, Scenario, every_loop, lines


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
