"""Batches for event loops: a task of the loop makes each batch, and goes on though a caller is cancelled meanwhile."""

import asyncio
from collections.abc import Sequence
from typing import Any, Generic

from completions_mw.backends.batches.queue import A, BatchQueue, Bounds, C, Execute, Waiting, failures_of
from completions_mw.backends.ownership import PerLoop


class AsyncBatches(Generic[C, A]):
    """The `Batches` protocol for event loops, each of which has a queue of its own.

    Args:
        execute: makes the calls of a batch.
        bounds: how many calls may wait and how long, where calls may be refused.
        lanes: batches that may be under way at the same time.
    """

    def __init__(self, execute: Execute[C, A], bounds: Bounds, lanes: int = 1) -> None:
        self._queues: PerLoop[_LoopBatches[C, A]] = PerLoop(lambda: _LoopBatches(execute, bounds, lanes))

    async def __call__(self, call: C, *, refusable: bool = False, caller: str = "") -> A:
        answer = await self._queues.get().ask(call, refusable=refusable, caller=caller)
        try:
            if isinstance(answer, Exception):
                raise answer
            return answer
        finally:
            # The exception holds this frame by its traceback: were it held by the frame, both would wait for the garbage collector.
            del answer


class _WaitingCall(Waiting, Generic[C, A]):
    """A call whose task waits for a future.

    Args:
        call: the call.
        future: gets the answer, or the exception as a result: one that nobody fetches would be logged.
    """

    __slots__ = ("call", "future")

    def __init__(self, call: C, future: asyncio.Future[A | Exception]) -> None:
        self.call = call
        self.future = future

    def is_wanted(self) -> bool:
        return not self.future.done()

    def refuse(self, error: Exception) -> None:
        self.future.set_result(error)


class _LoopBatches(Generic[C, A]):
    """The batches of one event loop.

    Args:
        execute: makes the calls of a batch.
        bounds: how many calls may wait and how long, where calls may be refused.
        lanes: batches that may be under way at the same time.
    """

    def __init__(self, execute: Execute[C, A], bounds: Bounds, lanes: int) -> None:
        self._execute = execute
        self._queue: BatchQueue[_WaitingCall[C, A]] = BatchQueue(bounds, lanes)
        self._is_due = False
        """Whether the loop will begin a batch in its next pass."""
        self._tasks: set[asyncio.Task[Any]] = set()

    def ask(self, call: C, *, refusable: bool, caller: str) -> asyncio.Future[A | Exception]:
        """Let a call wait, and return the future of its answer."""
        loop = asyncio.get_running_loop()
        waiting: _WaitingCall[C, A] = _WaitingCall(call, loop.create_future())
        self._queue.add(waiting, refusable=refusable, caller=caller)
        if not self._is_due:
            # In the next pass, so that the other tasks of this pass can join.
            self._is_due = True
            loop.call_soon(self._begin)
        return waiting.future

    def _begin(self) -> None:
        self._is_due = False
        if batch := self._queue.begin():
            task = asyncio.get_running_loop().create_task(self._make(batch))
            # Event loops hold their tasks weakly.
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _make(self, batch: list[_WaitingCall[C, A]]) -> None:
        answers: Sequence[A | Exception]
        try:
            answers = await self._execute([waiting.call for waiting in batch])
        except Exception as error:
            answers = failures_of(error, len(batch))
        finally:
            # Also where the event loop ends, and cancels this task and those that wait.
            self._queue.end(batch)
        for waiting, answer in zip(batch, answers, strict=True):
            if not waiting.future.done():
                waiting.future.set_result(answer)
        self._begin()
