"""Runners make calls that block, inline or in threads: `Blocking...` and `Async...` classes that share a base differ in the runner."""

from collections.abc import Callable
from typing import Protocol, TypeVar, TypeVarTuple, Unpack

import anyio
from anyio import to_thread

from completions_mw.backends.ownership import PerLoop

Ts = TypeVarTuple("Ts")
T = TypeVar("T")


class Runner(Protocol):
    """Calls a function that blocks, and returns what the function returns."""

    async def __call__(self, work: Callable[[Unpack[Ts]], T], /, *args: *Ts) -> T: ...


async def run_inline(work: Callable[[Unpack[Ts]], T], /, *args: *Ts) -> T:
    """Call `work` in this thread: the `Runner` of threads and greenlets."""
    return work(*args)


class WorkerThreads:
    """The `Runner` of event loops. Work that has begun is completed, even if its caller is cancelled meanwhile.

    Args:
        count: calls that run at the same time, for each event loop; others wait in line.
    """

    __slots__ = ("_limiters",)

    def __init__(self, count: int) -> None:
        self._limiters = PerLoop(lambda: anyio.CapacityLimiter(count))

    async def __call__(self, work: Callable[[Unpack[Ts]], T], /, *args: *Ts) -> T:
        return await to_thread.run_sync(work, *args, limiter=self._limiters.get())
