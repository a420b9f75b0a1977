"""Behaviours of the mock upstream that only these tests need."""

import asyncio
import threading
import time

from tests.support import upstream_answers as answers
from tests.support.upstream_exchange import Exchange

GUSH_EVENTS = 8_000
GUSH_TEXT = "x" * 16 * 1024
BLOCKED_AFTER = 0.5


class Steps:
    """The scenario `stepwise`: each event of a stream waits for the test, but for the last two, which end it (usage and `[DONE]`)."""

    def __init__(self) -> None:
        self.gate = asyncio.Semaphore(0)
        self.sent_at: list[float] = []

    async def __call__(self, x: Exchange) -> None:
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

    async def __call__(self, x: Exchange) -> None:
        await x.start()
        first, word, *_, last = answers.chunks(x.body)
        word["choices"][0]["delta"]["content"] = GUSH_TEXT
        event = answers.event(word)
        await x.piece(answers.event(first))
        for _ in range(GUSH_EVENTS):
            await self._give(x, event)
        await x.pieces([answers.event(last), answers.DONE])
        await x.end()

    async def _give(self, x: Exchange, event: bytes) -> None:
        giving = asyncio.create_task(x.piece(event))
        try:
            done, _ = await asyncio.wait((giving,), timeout=BLOCKED_AFTER)
            if not done:
                self.blocked.set()
            await giving
            self.sent += len(event)
        finally:
            giving.cancel()
