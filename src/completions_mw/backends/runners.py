"""Where calls that block run: what a `Blocking…` class and its `Async…` twin differ in."""

from collections.abc import Callable
from typing import Protocol, TypeVar

import anyio
from anyio import to_thread

from completions_mw.backends.ownership import PerLoop

T = TypeVar("T")


class Runner(Protocol):
    """Runs a call that blocks, and returns what it returns."""

    async def __call__(self, work: Callable[[], T], /) -> T: ...


async def run_inline(work: Callable[[], T], /) -> T:
    """Run `work` here and now: the `Runner` of threads and greenlets."""
    return work()


class WorkerThreads:
    """The `Runner` of event loops. Work that has begun is done, also for callers who are cancelled meanwhile.

    Args:
        count: calls that run at the same time, for each event loop; others wait in line.
    """

    __slots__ = ("_limiters",)

    def __init__(self, count: int) -> None:
        self._limiters = PerLoop(lambda: anyio.CapacityLimiter(count))

    async def __call__(self, work: Callable[[], T], /) -> T:
        return await to_thread.run_sync(work, limiter=self._limiters.get())
