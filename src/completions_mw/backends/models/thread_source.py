"""Blocking code as a source of items: each answer runs in a thread of its own behind a bounded queue.

A generator is not passed from thread to thread, so that what it opened (a sqlite3 cursor, a lock) stays usable.
"""

import asyncio
import atexit
import queue
import threading
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any, Final

from completions_mw.backends.models.faults import SIGNALS, signalled
from completions_mw.backends.models.inbox import MAX_QUEUED_ITEMS, Inbox
from completions_mw.backends.models.threads import ModelThreads
from completions_mw.backends.ownership import PerProcess

Emit = Callable[[Any], bool]
"""Delivers one item, after waiting for room in the queue; returns True if the work must stop, since the reader has left."""
Produce = Callable[[Emit], None]
"""Does the work and emits its items."""

EXIT_SECONDS: Final = 10.0
"""Seconds that a process that exits waits for a model to stop."""


class Worker:
    """The thread of one answer: runs `produce` until the work ends or `stop` is called.

    Args:
        produce: the work.
        deliver: called in the thread with each item.
        end: called in the thread when the work has ended, with what it raised.
    """

    __slots__ = ("_deliver", "_end", "_produce", "_room", "_stopped", "_thread")

    def __init__(self, produce: Produce, deliver: Callable[[Any], None], end: Callable[[BaseException | None], None]) -> None:
        self._produce = produce
        self._deliver = deliver
        self._end = end
        self._room = threading.Semaphore(MAX_QUEUED_ITEMS)
        self._stopped = False
        self._thread = threading.Thread(target=copy_context().run, args=(self._run,), name="completions-mw-model", daemon=True)

    def start(self) -> None:
        """Start the thread, in a copy of the caller's context."""
        _running.workers.add(self)
        self._thread.start()

    def make_room(self, count: int) -> None:
        """Note that the reader took `count` items, so that as many more may be queued."""
        self._room.release(count)

    def stop(self) -> None:
        """Make the work stop at its next item, or now if it waits for room; returns before the work has stopped."""
        self._stopped = True
        self._room.release()

    def wait(self, seconds: float) -> None:
        """Wait until the thread has ended, for `seconds` at most."""
        self._thread.join(seconds)

    def _emit(self, item: Any) -> bool:
        if not self._stopped:
            self._room.acquire()
        if not self._stopped:
            self._deliver(item)
        return self._stopped

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            self._produce(self._emit)
        except BaseException as raised:
            # In a thread nothing is cancelled, and the reader would take it for the end of the request.
            error = signalled(raised) if isinstance(raised, (*SIGNALS, asyncio.CancelledError)) else raised
        _running.workers.discard(self)
        self._end(error)


class _RunningWorkers(PerProcess):
    """The workers of this process. A forked child has none of their threads, and their locks stay as they were at the fork."""

    def reset(self) -> None:
        self.workers: set[Worker] = set()


_running: Final = _RunningWorkers()


@atexit.register
def _stop_all() -> None:
    """End all work before the interpreter ends: a thread inside C++ code may crash a process that ends."""
    workers = _running.workers.copy()
    for worker in workers:
        worker.stop()
    for worker in workers:
        worker.wait(EXIT_SECONDS)


class BlockingThreadSource:
    """An `ItemSource` for a blocking gateway: the reader takes from a queue what the thread puts there.

    Args:
        produce: the work.
        keep_alive: seconds of silence after which an empty batch is returned; 0: never.
        threads: not used; `AsyncThreadSource` has the same arguments.
        caller: not used.
    """

    __slots__ = ("_ended", "_keep_alive", "_queue", "_started", "_worker")

    def __init__(self, produce: Produce, keep_alive: float, threads: ModelThreads | None = None, caller: str = "") -> None:
        self._queue: queue.SimpleQueue[tuple[Any, bool]] = queue.SimpleQueue()
        self._keep_alive = keep_alive or None
        self._worker = Worker(produce, lambda item: self._queue.put((item, False)), lambda error: self._queue.put((error, True)))
        self._started = self._ended = False

    async def __anext__(self) -> list[Any]:
        if self._ended:
            raise StopAsyncIteration
        if not self._started:
            self._started = True
            self._worker.start()
        try:
            item, last = self._queue.get(timeout=self._keep_alive)
        except queue.Empty:
            return []
        if last:
            self._ended = True
            raise item or StopAsyncIteration
        self._worker.make_room(1)
        return [item]

    async def aclose(self) -> None:
        self._ended = True
        self._worker.stop()


class AsyncThreadSource:
    """An `ItemSource` for an event loop, which never waits for the thread.

    Args:
        produce: the work.
        keep_alive: seconds of silence after which an empty batch is returned; 0: never.
        threads: permits to run; None to run at once.
        caller: for whom the work is done; empty for the host app itself.
    """

    __slots__ = ("_caller", "_give_back", "_inbox", "_post", "_threads", "_worker")

    def __init__(self, produce: Produce, keep_alive: float, threads: ModelThreads | None = None, caller: str = "") -> None:
        self._inbox = Inbox(keep_alive)
        self._threads = threads
        self._caller = caller
        self._give_back: Callable[[], None] | None = None
        self._post: Callable[[Callable[[], object]], object] | None = None
        self._worker = Worker(produce, self._deliver, self._end)

    async def __anext__(self) -> list[Any]:
        if self._post is None and not self._inbox.ended:
            self._give_back = None if self._threads is None else await self._threads.permit(self._caller)
            self._post = asyncio.get_running_loop().call_soon_threadsafe
            self._worker.start()
        batch = await self._inbox.take()
        if batch:
            self._worker.make_room(len(batch))
        return batch

    async def aclose(self) -> None:
        self._inbox.close()
        self._worker.stop()

    def _deliver(self, item: Any) -> None:
        self._send(partial(self._inbox.put, item))

    def _end(self, error: BaseException | None) -> None:
        self._send(partial(self._inbox.end, error))
        # Here and not in `aclose`: a model that computes on for a reader who has left still has its thread.
        if self._give_back is not None:
            self._send(self._give_back)

    def _send(self, callback: Callable[[], object]) -> None:
        assert self._post is not None
        try:
            self._post(callback)
        except RuntimeError:
            # The event loop is closed, so that the reader is gone.
            self._worker.stop()
