"""Behaviours of the mock upstream that only these tests need."""

import asyncio
import threading
import time
from collections import defaultdict

from tests.support import upstream_answers as answers
from tests.support import upstream_scenarios
from tests.support.upstream_exchange import RequestContext

GUSH_EVENTS = 8_000
GUSH_TEXT = "x" * 16 * 1024
BLOCKED_AFTER = 0.5


class Steps:
    """The scenario `stepwise`: each event of a stream waits for the test, but for the last two, which end it (usage and `[DONE]`)."""

    def __init__(self) -> None:
        self.gate = asyncio.Semaphore(0)
        self.sent_at: list[float] = []

    async def __call__(self, x: RequestContext) -> None:
        await x.start()
        *steps, usage, done = answers.events(answers.chunks(x.body))
        for piece in steps:
            await self.gate.acquire()
            self.sent_at.append(time.monotonic())
            await x.piece(piece)
        await x.pieces([usage, done])
        await x.end()


class Gush:
    """The scenario `gush`: 128 MiB of events as fast as they are taken; notices when nobody takes them."""

    def __init__(self) -> None:
        self.blocked = threading.Event()
        self.sent = 0

    async def __call__(self, x: RequestContext) -> None:
        await x.start()
        first, word, *_, last = answers.chunks(x.body)
        word["choices"][0]["delta"]["content"] = GUSH_TEXT
        event = answers.event(word)
        await x.piece(answers.event(first))
        for _ in range(GUSH_EVENTS):
            await self._give(x, event)
        await x.pieces([answers.event(last), answers.DONE])
        await x.end()

    async def _give(self, x: RequestContext, event: bytes) -> None:
        giving = asyncio.create_task(x.piece(event))
        try:
            done, _ = await asyncio.wait((giving,), timeout=BLOCKED_AFTER)
            if not done:
                self.blocked.set()
            await giving
            self.sent += len(event)
        finally:
            giving.cancel()


class Held:
    """The scenario `held`: a request stays until the test lets one go. Counts those that are there.

    A request that is let go has left before its answer is sent, so what that answer allows the gateway cannot seem to be too early.
    """

    def __init__(self) -> None:
        self.now = 0
        self.most = 0
        self._gate = asyncio.Semaphore(0)

    def let_go(self, count: int) -> None:
        """Answer so many requests; to be called on the upstream's loop."""
        for _ in range(count):
            self._gate.release()

    async def __call__(self, x: RequestContext) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self._gate.acquire()
        finally:
            self.now -= 1
        await upstream_scenarios.ok(x)


class Announced:
    """The scenario `announced`: says which request has come, by its text, and never answers."""

    def __init__(self) -> None:
        self.came: defaultdict[str, threading.Event] = defaultdict(threading.Event)

    async def __call__(self, x: RequestContext) -> None:
        self.came[answers.last_text(x.body)].set()
        await asyncio.Event().wait()
