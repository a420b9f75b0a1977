"""Background work on the event loop that runs, asyncio's or trio's: the one thing that anyio only offers inside a block."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import copy_context
from typing import Any, Protocol

import anyio

from completions_mw.backends.models.inbox import MAX_QUEUED_ITEMS, Inbox
from completions_mw.errors import UpstreamError

Work = Callable[[], Coroutine[Any, Any, None]]
AsyncEmit = Callable[[Any], Awaitable[None]]
AsyncProduce = Callable[[AsyncEmit], Awaitable[None]]


class Task(Protocol):
    """Work that was started. It never raises: what it finds it leaves where it was told to."""

    def cancel(self) -> None: ...

    async def wait(self) -> None: ...


def spawn(work: Work) -> Task:
    """Start `work` in a task of its own, in a copy of the caller's context."""
    return _AsyncioTask(work) if _on_asyncio() else _TrioTask(work)


def call_from_thread() -> Callable[[Callable[[], object]], object]:
    """Return what other threads use to run a callback on this event loop; it raises RuntimeError once the loop has ended."""
    if _on_asyncio():
        call_soon: Callable[[Callable[[], object]], object] = asyncio.get_running_loop().call_soon_threadsafe
        return call_soon
    import trio

    return trio.lowlevel.current_trio_token().run_sync_soon


def _on_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class _AsyncioTask:
    def __init__(self, work: Work) -> None:
        self._task = asyncio.create_task(work())

    def cancel(self) -> None:
        self._task.cancel()

    async def wait(self) -> None:
        await asyncio.wait([self._task])


class _TrioTask:
    def __init__(self, work: Work) -> None:
        import trio

        self._work = work
        self._scope = trio.CancelScope()
        self._done = trio.Event()
        trio.lowlevel.spawn_system_task(self._run, context=copy_context())

    async def _run(self) -> None:
        try:
            with self._scope:
                await self._work()
        finally:
            self._done.set()

    def cancel(self) -> None:
        self._scope.cancel()

    async def wait(self) -> None:
        await self._done.wait()


class AsyncTaskSource:
    """An `ItemSource` for async code: it runs in one task from start to end, so its time-outs and task groups may span its yields.

    Args:
        produce: the work.
        keep_alive: seconds of silence after which an empty batch is returned, 0: never; nothing that is under way is lost by it.
    """

    __slots__ = ("_inbox", "_produce", "_room", "_task")

    def __init__(self, produce: AsyncProduce, keep_alive: float) -> None:
        self._produce = produce
        self._inbox = Inbox(keep_alive)
        self._room = anyio.Semaphore(MAX_QUEUED_ITEMS)
        self._task: Task | None = None

    async def __anext__(self) -> list[Any]:
        if self._task is None and not self._inbox.ended:
            self._task = spawn(self._run)
        batch = await self._inbox.take()
        for _ in batch:
            self._room.release()
        return batch

    async def aclose(self) -> None:
        self._inbox.close()
        if self._task is not None:
            self._task.cancel()
            with anyio.CancelScope(shield=True):
                await self._task.wait()

    async def _emit(self, item: Any) -> None:
        await self._room.acquire()
        self._inbox.put(item)

    async def _run(self) -> None:
        try:
            await self._produce(self._emit)
            self._inbox.end()
        except Exception as error:
            self._inbox.end(error)
        finally:
            # Without effect but where something else cancelled the task: that must not look like a complete answer.
            self._inbox.end(UpstreamError("The model was stopped before its answer was complete."))
