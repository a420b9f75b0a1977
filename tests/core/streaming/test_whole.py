"""Large whole answers: a check that comes late ends no connection that has gone on to the next request."""

import asyncio
from typing import Any, cast

import pytest

from completions_mw.core.context import RequestContext
from completions_mw.core.ports import Background
from completions_mw.core.streaming import StreamRules, WholeBody
from completions_mw.core.telemetry import Observer
from tests.support.fake_clock import FakeClock

SECONDS = 60.0


class Unwatched:
    """A background whose round has begun: what it checks, it has listed before."""

    def watch(self, watched: object) -> None: ...

    def unwatch(self, watched: object) -> None: ...


class Ended(Observer):
    """Notes the answers that were ended."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def noted(self, event: str, request: object, **details: Any) -> None:
        self.events.append(event)


@pytest.mark.parametrize("is_closed", [False, True])
def test_only_a_body_that_is_still_sent_is_ended(is_closed: bool) -> None:
    clock, observer, disconnected = FakeClock(), Ended(), []
    rules = StreamRules(clock.clock(), cast("Background", Unwatched()), 10.0, SECONDS)
    context = RequestContext(clock.clock(), is_http=True)

    async def send() -> None:
        body = WholeBody(b"x" * 100_000, rules, SECONDS, lambda: disconnected.append(True), observer, context)
        while not body.is_done:
            await body.__anext__()
        if is_closed:
            await body.aclose()
        clock.advance(SECONDS)
        for _ in range(2):
            await body.check()

    asyncio.run(send())
    ended = not is_closed
    assert (observer.events, disconnected) == (["answer_not_taken"] * ended, [True] * ended)
