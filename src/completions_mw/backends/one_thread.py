"""The runner of event loops for work that is done one after another: one thread of the process does all of it."""

import threading
from asyncio import AbstractEventLoop, Future, get_running_loop
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar, TypeVarTuple, Unpack
from weakref import finalize

from completions_mw.backends.ownership import PerProcess
from completions_mw.core.ports import StoreOverloadedError

Ts = TypeVarTuple("Ts")
T = TypeVar("T")


class OneThread(PerProcess):
    """The `Runner` of event loops for work that cannot be done at the same time. Its thread ends with this object.

    Work that was asked for is done, even if its caller is cancelled meanwhile. A call costs half of what it costs in `WorkerThreads`, which
    may have several threads, and let them see the caller's context variables. A call raises `StoreOverloadedError` if the thread cannot be
    started, since the process has too many threads; the next call tries again.

    Args:
        name: name of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        super().__init__()

    def reset(self) -> None:
        self._guard = threading.Lock()
        self._calls: SimpleQueue[_Call | None] | None = None
        """What the thread is to do; None before there is a thread."""

    async def __call__(self, work: Callable[[Unpack[Ts]], T], /, *args: *Ts) -> T:
        loop = get_running_loop()
        answer: Future[T] = loop.create_future()
        calls = self._calls or self._start()
        calls.put(_Call(loop, answer, work, args))
        try:
            return await answer
        finally:
            # An exception holds this frame by its traceback: were its future held by the frame, both would wait for the garbage collector.
            del answer

    def _start(self) -> "SimpleQueue[_Call | None]":
        with self._guard:
            if self._calls is None:
                calls: SimpleQueue[_Call | None] = SimpleQueue()
                # The thread refers to the queue alone, so that this object can be collected.
                try:
                    threading.Thread(target=_serve, args=(calls,), name=self._name, daemon=True).start()
                except RuntimeError as error:
                    raise StoreOverloadedError("no thread can be started") from error
                finalize(self, calls.put, None).atexit = False
                self._calls = calls
            return self._calls


class _Call(NamedTuple):
    loop: AbstractEventLoop
    answer: Future[Any]
    work: Callable[..., Any]
    args: tuple[Any, ...]


def _serve(calls: "SimpleQueue[_Call | None]") -> None:
    while (call := calls.get()) is not None:
        _make(*call)
        # Nothing of a call is kept until the next one comes.
        del call


def _make(loop: AbstractEventLoop, answer: Future[Any], work: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """Do the work, and let the event loop of the caller have the answer, unless it was closed meanwhile."""
    error: BaseException | None = None
    try:
        result = work(*args)
    except BaseException as raised:
        result, error = None, raised
    try:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_give, answer, result, error)
    finally:
        # As above.
        del answer, error


def _give(answer: Future[Any], result: Any, error: BaseException | None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(result)
    else:
        answer.set_exception(error)
