"""Blocking models take a bounded number of threads in an async gateway (docs/promises.md, Hosts and servers)."""

import asyncio
import threading
from typing import Any

import pytest

from completions_mw import AsyncGateway, ServiceUnavailableError, Settings
from completions_mw.backends.models import AsyncFunctionModel
from completions_mw.backends.models.threads import AsyncModelThreads
from tests.support.in_process import chat

COUNT = 4
KEYS = ("sk-threads-0123456789-a", "sk-threads-0123456789-b")


class Held:
    """Models that answer when they are let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.running = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._now = 0
        self.most = 0

    def __call__(self, _: object) -> str:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        self.running.release()
        assert self.go.wait(60)
        with self._lock:
            self._now -= 1
        return "done"

    async def wait_for(self, count: int) -> None:
        """Wait until so many more models have begun."""
        for _ in range(count):
            assert await asyncio.to_thread(self.running.acquire, timeout=60)


def test_the_models_of_a_gateway_share_their_threads() -> None:
    """Of 100 requests to two functions, 4 run at a time."""

    async def scenario() -> None:
        held = Held()
        settings = Settings(model_threads=COUNT, connections={"wait": 600})
        models: dict[str, Any] = {"a": held, "b": lambda request: held(request)}
        async with AsyncGateway(settings, models=models) as gateway:
            calls = [gateway.complete(model="ab"[at % 2], messages=[{"role": "user", "content": "x"}]) for at in range(100)]
            answers = asyncio.gather(*calls)
            await held.wait_for(COUNT)
            held.go.set()
            await answers
        assert held.most == COUNT

    asyncio.run(scenario())


def test_who_waits_in_vain_is_told_to_come_back() -> None:
    async def scenario() -> None:
        held = Held()
        model = AsyncFunctionModel(held, 15.0, AsyncModelThreads(1, 0.01))
        first = asyncio.create_task(model.complete(chat()))
        await held.wait_for(1)
        with pytest.raises(ServiceUnavailableError) as caught:
            await model.complete(chat())
        stream = await model.stream(chat())
        with pytest.raises(ServiceUnavailableError):
            await stream.__anext__()
        await stream.aclose()
        assert (caught.value.code, caught.value.headers) == ("overloaded", (("retry-after", "1"),))
        held.go.set()
        await first
        await model.complete(chat())

    asyncio.run(scenario())


def test_a_thread_is_free_when_its_model_has_ended_and_not_when_its_reader_left() -> None:
    async def scenario() -> None:
        held = Held()
        model = AsyncFunctionModel(held, 15.0, AsyncModelThreads(1, 60))
        left = asyncio.create_task(model.complete(chat()))
        await held.wait_for(1)
        left.cancel()
        await asyncio.wait([left])
        waiting = asyncio.create_task(model.complete(chat()))
        given_up = asyncio.create_task(model.complete(chat()))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.wait([given_up])
        assert (waiting.done(), held.most) == (False, 1)
        held.go.set()
        await waiting
        await model.complete(chat())
        assert held.most == 1

    asyncio.run(scenario())


def test_one_caller_has_half_of_the_threads_and_keeps_nobody_waiting() -> None:
    async def scenario() -> None:
        held, theirs = Held(), Held()
        settings = Settings(model_threads=COUNT, connections={"wait": 600}, keys={"a": {"secret": KEYS[0]}, "b": {"secret": KEYS[1]}})
        async with AsyncGateway(settings, models={"held": held, "theirs": theirs}) as gateway:
            messages = [{"role": "user", "content": "x"}]
            greedy = asyncio.gather(*(gateway.complete(model="held", key=KEYS[0], messages=messages) for _ in range(3 * COUNT)))
            await held.wait_for(COUNT // 2)
            other = asyncio.create_task(gateway.complete(model="theirs", key=KEYS[1], messages=messages))
            await theirs.wait_for(1)
            theirs.go.set()
            await other
            held.go.set()
            await greedy
        assert held.most == COUNT // 2

    asyncio.run(scenario())
