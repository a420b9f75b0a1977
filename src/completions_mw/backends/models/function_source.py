"""The items of a Python function: what it returns or yields, inline, in a thread or in a task."""

import inspect
from collections.abc import AsyncIterable, Callable, Iterator
from typing import Any

import anyio

from completions_mw.backends.models.chunks import opened
from completions_mw.backends.models.faults import SIGNALS, signalled
from completions_mw.backends.models.task_source import AsyncEmit
from completions_mw.backends.models.thread_source import Emit
from completions_mw.blocking import run_sync
from completions_mw.core.ports import ModelFunction
from completions_mw.schemas.base import ModelRequest


class BlockingFunctionSource:
    """The `ItemSource` of a function that runs inline: each batch is one step of its iterator."""

    __slots__ = ("_close", "_function", "_request", "_step")

    def __init__(self, function: ModelFunction, request: ModelRequest) -> None:
        self._function = function
        self._request = request
        self._step: Callable[[], Any] | None = None
        self._close: Callable[[], object] = _nothing

    async def __anext__(self) -> list[Any]:
        try:
            step = self._step = self._step or self._open()
        except SIGNALS as signal:
            raise signalled(signal) from signal
        try:
            return [step()]
        except StopIteration:
            raise StopAsyncIteration from None
        except SIGNALS as signal:
            raise signalled(signal) from signal

    async def aclose(self) -> None:
        self._step = _ended
        close, self._close = self._close, _nothing
        close()

    def _open(self) -> Callable[[], Any]:
        result = self._function(self._request)
        if inspect.isawaitable(result):
            result = run_sync(_named(_wait_for(result), self._function))
        if isinstance(result, AsyncIterable):
            step, self._close = _async_steps(result)
            return step
        items = opened(result)
        self._close = getattr(items, "close", _nothing)
        return items.__next__


def produce(result: Any, emit: Emit) -> None:
    """Emit the result of a sync function, and close its iterator.

    Raises:
        TypeError: the result must be awaited, or iterated with `async for`.
    """
    if inspect.isawaitable(result) or isinstance(result, AsyncIterable):
        raise TypeError("a model that is async must be declared with `async def`")
    items: Iterator[Any] = opened(result)
    try:
        for item in items:
            if emit(item):
                return
    finally:
        getattr(items, "close", _nothing)()


async def produce_async(result: Any, emit: AsyncEmit) -> None:
    """Emit the result of an async function, and close its iterator."""
    if inspect.isawaitable(result):
        result = await result
    if not isinstance(result, AsyncIterable):
        for item in opened(result):
            await emit(item)
        return
    items = aiter(result)
    try:
        async for item in items:
            await emit(item)
    finally:
        # Shielded: the model's own clean-up may wait, and the task may be cancelled already.
        with anyio.CancelScope(shield=True):
            await getattr(items, "aclose", _wait_for_nothing)()


def _async_steps(result: AsyncIterable[Any]) -> tuple[Callable[[], Any], Callable[[], object]]:
    """Return two functions: one steps through an async iterator inline, the other closes that iterator."""
    items = aiter(result)

    def step() -> Any:
        try:
            return run_sync(_named(_wait_for(anext(items)), items))
        except StopAsyncIteration:
            raise StopIteration from None

    def close() -> None:
        # A generator that suspended is closed already, though Python 3.11 takes it for running.
        if not getattr(items, "ag_running", False):
            run_sync(_named(_wait_for(getattr(items, "aclose", _wait_for_nothing)()), items))

    return step, close


def _named(coroutine: Any, of: object) -> Any:
    """Give a coroutine the name of the user's code, for the error of `run_sync` where it suspends."""
    coroutine.__qualname__ = getattr(of, "__qualname__", type(of).__qualname__)
    return coroutine


async def _wait_for(awaitable: Any) -> Any:
    return await awaitable


async def _wait_for_nothing() -> None:
    """Do nothing: the `aclose` of iterators without one."""


def _nothing() -> None:
    """Do nothing: the `close` of iterators without one."""


def _ended() -> Any:
    raise StopIteration
