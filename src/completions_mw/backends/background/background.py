"""Work beside requests: the `Background` port for threads and greenlets, and for event loops."""

import os
from collections.abc import Coroutine, Hashable
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

import anyio

from completions_mw.backends.background.asynchronous import CompletingTask, PeriodicTask, complete, event_loop, repeat
from completions_mw.backends.background.blocking import PeriodicThread
from completions_mw.backends.background.work import Work

T = TypeVar("T")

CLOSE_SECONDS: Final = 5.0
"""How long `aclose` waits for what is under way."""


class BlockingBackground:
    """Runs what is to be completed where it is asked for, and what is to be kept in one thread of each process that asks for it."""

    def __init__(self) -> None:
        # A fork takes along no thread, and locks as they happen to be: a child starts anew.
        self._threads: dict[int, PeriodicThread] = {}

    async def complete(self, work: Coroutine[Any, Any, T]) -> T:
        return await work

    def keep(self, interval: float, work: Work) -> None:
        process = os.getpid()
        thread = self._threads.get(process)
        if thread is None:
            thread = self._threads.setdefault(process, PeriodicThread())
        thread.keep(interval, work)

    async def aclose(self) -> None:
        thread = self._threads.pop(os.getpid(), None)
        if thread is not None:
            thread.stop()
            thread.join()


class AsyncBackground:
    """Runs everything in tasks of its own, on the event loop that asks for it, asyncio's or trio's."""

    def __init__(self) -> None:
        self._running: set[CompletingTask[Any]] = set()
        self._kept: WeakKeyDictionary[Hashable, dict[Work, PeriodicTask]] = WeakKeyDictionary()

    async def complete(self, work: Coroutine[Any, Any, T]) -> T:
        completion = complete(work, self._running.discard)
        # An event loop itself holds its tasks weakly.
        self._running.add(completion)
        return await completion.result()

    def keep(self, interval: float, work: Work) -> None:
        loop = event_loop()
        kept = self._kept.get(loop)
        if kept is None:
            kept = self._kept.setdefault(loop, {})
        if work not in kept:
            kept[work] = repeat(interval, work)

    async def aclose(self) -> None:
        """Stop what `keep` started on this event loop, and wait a moment for what is to be completed on it."""
        loop = event_loop()
        kept = tuple(self._kept.pop(loop, {}).values())
        for periodic in kept:
            periodic.stop()
        running = [completion for completion in tuple(self._running) if completion.loop is loop]
        with anyio.move_on_after(CLOSE_SECONDS):
            for wait in [periodic.wait for periodic in kept] + [completion.wait for completion in running]:
                await wait()
