"""The rounds of the ASGI adapter keep no event loop in memory, since apps that bridge from WSGI make one for each request. They begin with
the first wait of a request."""

import asyncio
import gc
import weakref
from collections.abc import Coroutine
from typing import Any

import pytest

from completions_mw.adapters.asgi_rounds import ROUND_SECONDS, noting_wait, rounds_of


class Visitor:
    def __init__(self) -> None:
        self.visited = asyncio.Event()

    def visit(self) -> None:
        self.visited.set()


async def wait_for_a_visit() -> None:
    visitor = Visitor()
    rounds = rounds_of(asyncio.get_running_loop())
    assert rounds is rounds_of(asyncio.get_running_loop())
    rounds.join(visitor)
    await asyncio.wait_for(visitor.visited.wait(), ROUND_SECONDS * 1000)
    rounds.join(Visitor())


def test_a_loop_that_has_ended_is_forgotten() -> None:
    loop = asyncio.new_event_loop()
    loop.run_until_complete(wait_for_a_visit())
    loop.close()
    gone = weakref.ref(loop)
    del loop
    gc.collect()
    assert gone() is None


async def work(events: list[str], waits: list[tuple[asyncio.Event, asyncio.Event]]) -> str:
    for begun, wait in waits:
        events.append("waits")
        begun.set()
        try:
            await wait.wait()
        except asyncio.CancelledError:
            events.append("cancelled")
    return "done"


def test_work_that_never_waits_is_not_noted() -> None:
    events: list[str] = []
    assert asyncio.run(noting_wait_of(work(events, []), events)) == "done"
    assert events == []


@pytest.mark.parametrize("cancelled", [0, 1, 2])
def test_the_first_wait_is_noted_once_and_cancellations_reach_the_work(cancelled: int) -> None:
    async def run() -> str:
        waits = [(asyncio.Event(), asyncio.Event()) for _ in range(3)]
        task = asyncio.ensure_future(noting_wait_of(work(events, waits), events))
        for at, (begun, wait) in enumerate(waits):
            await begun.wait()
            if at < cancelled:
                task.cancel()
            else:
                wait.set()
        return await task

    events: list[str] = []
    assert asyncio.run(run()) == "done"
    assert events.count("noted") == 1
    assert events[:2] == ["waits", "noted"]
    assert events.count("cancelled") == cancelled


async def noting_wait_of(done: Coroutine[Any, Any, str], events: list[str]) -> str:
    return await noting_wait(done, lambda: events.append("noted"))
