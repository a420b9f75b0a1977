"""Batches for threads and greenlets: one of those that wait makes the batch for all of them.

No thread of its own is needed, so this works in greenlets, and in forked children.
"""

import threading
from collections.abc import Sequence
from typing import Generic

from completions_mw.backends.batches.queue import A, BatchQueue, Bounds, C, Execute, Waiting, failures_of
from completions_mw.backends.ownership import PerProcess
from completions_mw.core.ports import StoreTimeoutError


class _Follower(Waiting, Generic[C, A]):
    """A call whose thread sleeps until there is an answer, or until the thread is to make a batch.

    Args:
        call: the call.
    """

    __slots__ = ("answer", "batch", "call", "is_gone", "wakes")

    def __init__(self, call: C) -> None:
        self.call = call
        self.answer: A | Exception | None = None
        self.batch: list[_Follower[C, A]] | None = None
        """The batch that this thread is to make."""
        self.is_gone = False
        """Whether the thread was interrupted while it waited."""
        self.wakes = threading.Lock()
        self.wakes.acquire()

    def is_wanted(self) -> bool:
        return not self.is_gone

    def refuse(self, error: Exception) -> None:
        self.answer = error
        self.wakes.release()


class BlockingBatches(PerProcess, Generic[C, A]):
    """The `Batches` protocol for threads and greenlets.

    Args:
        execute: makes the calls of a batch, without suspending.
        bounds: how many calls may wait and how long, where calls may be refused.
        lanes: batches that may be under way at the same time.
    """

    def __init__(self, execute: Execute[C, A], bounds: Bounds, lanes: int = 1) -> None:
        self._execute = execute
        self._bounds = bounds
        self._lanes = lanes
        super().__init__()

    def reset(self) -> None:
        self._guard = threading.Lock()
        self._queue: BatchQueue[_Follower[C, A]] = BatchQueue(self._bounds, self._lanes)

    async def __call__(self, call: C, *, refusable: bool = False, caller: str = "") -> A:
        mine: _Follower[C, A] = _Follower(call)
        with self._guard:
            self._queue.add(mine, refusable=refusable, caller=caller)
        self._hand_over(mine)
        if mine.batch is None:
            self._sleep(mine)
        if mine.batch is not None:
            await self._lead(mine.batch)
            # The batch holds this call: if each held the other, both would wait for the garbage collector.
            mine.batch = None
        answer, mine.answer = mine.answer, None
        try:
            if isinstance(answer, Exception):
                raise answer
            return answer  # type: ignore[return-value]
        finally:
            # The exception holds this frame by its traceback: were it held by the frame, both would wait for the garbage collector.
            del answer

    async def _lead(self, batch: list[_Follower[C, A]]) -> None:
        """Make a batch, and let another thread make the next one."""
        interrupted = StoreTimeoutError("the call was interrupted, and may have been made")
        answers: Sequence[A | Exception] = [interrupted] * len(batch)
        try:
            answers = await self._execute([waiting.call for waiting in batch])
        except Exception as error:
            answers = failures_of(error, len(batch))
        finally:
            for waiting, answer in zip(batch, answers, strict=True):
                waiting.answer = answer
            with self._guard:
                self._queue.end(batch)
            self._hand_over(None)
            for waiting in batch:
                if waiting.batch is None:
                    waiting.wakes.release()

    def _hand_over(self, mine: _Follower[C, A] | None) -> None:
        """Begin the next batch if it is time, and let the first of those in it make the batch."""
        with self._guard:
            batch = self._queue.begin()
            if not batch:
                return
            leader = mine if mine in batch else batch[0]
            assert leader is not None
            leader.batch = batch
            if leader is not mine:
                leader.wakes.release()

    def _sleep(self, mine: _Follower[C, A]) -> None:
        try:
            mine.wakes.acquire()
        except BaseException:
            # A greenlet that is killed, or a signal whose handler raises.
            with self._guard:
                mine.is_gone = True
                batch, mine.batch = mine.batch, None
                if batch is not None:
                    # The others in the batch must not wait for this thread.
                    self._queue.put_back(batch)
            self._hand_over(None)
            raise
