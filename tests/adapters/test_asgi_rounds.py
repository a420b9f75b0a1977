"""The rounds of the ASGI adapter keep no event loop in memory: apps that bridge from WSGI make one for each request."""

import asyncio
import gc
import weakref

from completions_mw.adapters.asgi_rounds import ROUND_SECONDS, rounds_of


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
