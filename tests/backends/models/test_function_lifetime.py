"""Python functions as models: how they fail, when and where they run, and that they are always closed."""

import contextvars
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from completions_mw.backends.models import AsyncFunctionModel, BlockingFunctionModel
from completions_mw.errors import RateLimitError, UpstreamError
from completions_mw.schemas import ChatRequest
from tests.support.in_process import ASYNCIO, BLOCKING, Kind, chat, complete, events_of, every_kind, text_of


class HostError(Exception):
    """An error of the host app's own code."""


def raises(error: Exception, *, after: int) -> Callable[[ChatRequest], Iterator[str]]:
    def function(_: ChatRequest) -> Iterator[str]:
        for _step in range(after):
            yield "word "
        raise error

    return function


def raises_async(error: Exception, *, after: int) -> Callable[[ChatRequest], AsyncIterator[str]]:
    async def function(_: ChatRequest) -> AsyncIterator[str]:
        for _step in range(after):
            yield "word "
        raise error

    return function


every_raiser = pytest.mark.parametrize("make", [raises, raises_async], ids=["sync", "async"])


@every_kind
@every_raiser
@pytest.mark.parametrize("error", [RateLimitError("slow down"), HostError("bug")], ids=["gateway-error", "other"])
def test_exceptions_of_the_function_arrive_as_they_are(kind: Kind, make: Callable[..., Any], error: Exception) -> None:
    model = kind.function(make(error, after=1), 15.0)
    with pytest.raises(type(error)) as caught:
        complete(kind, model, chat())
    assert caught.value is error


@every_kind
@every_raiser
def test_a_stream_delivers_what_came_before_a_fault_and_never_ends_cleanly(kind: Kind, make: Callable[..., Any]) -> None:
    async def scenario() -> None:
        stream = await kind.function(make(HostError(), after=1), 15.0).stream(chat())
        (event,) = await stream.__anext__()
        assert event.data["choices"][0]["delta"] == {"content": "word "}
        with pytest.raises(HostError):
            await stream.__anext__()
        with pytest.raises(StopAsyncIteration):
            await stream.__anext__()
        await stream.aclose()

    kind.run(scenario)


class Signals:
    """Models that raise what means something to iterators and tasks, wherever a model's own code runs."""

    def __init__(self, signal: type[BaseException]) -> None:
        self._signal = signal
        self._steps = 0

    def at_once(self, _: ChatRequest) -> str:
        raise self._signal

    async def at_once_async(self, _: ChatRequest) -> str:
        raise self._signal

    def iterator(self, _: ChatRequest) -> "Signals":
        return self

    async def iterator_async(self, _: ChatRequest) -> "Signals":
        return self

    def generator(self, _: ChatRequest) -> Iterator[str]:
        yield "word "
        raise self._signal

    async def generator_async(self, _: ChatRequest) -> AsyncIterator[str]:
        yield "word "
        raise self._signal

    def __iter__(self) -> "Signals":
        return self

    def __next__(self) -> str:
        self._steps += 1
        if self._steps == 2:
            # For an iterator StopIteration is the end.
            raise StopAsyncIteration if self._signal is StopIteration else self._signal
        return "word "


@every_kind
@pytest.mark.parametrize("form", ["at_once", "at_once_async", "iterator", "iterator_async", "generator", "generator_async"])
@pytest.mark.parametrize("signal", [StopIteration, StopAsyncIteration, GeneratorExit], ids=lambda signal: signal.__name__)
def test_signals_to_iterators_end_no_answer(kind: Kind, form: str, signal: type[BaseException]) -> None:
    """They are faults of the model: what came before them is not a complete answer."""
    with pytest.raises(RuntimeError):
        complete(kind, kind.function(getattr(Signals(signal), form), 15.0), chat())

    async def scenario() -> None:
        stream = await kind.function(getattr(Signals(signal), form), 15.0).stream(chat())
        with pytest.raises(RuntimeError):
            await events_of(stream)
        await stream.aclose()

    kind.run(scenario)


@every_kind
@pytest.mark.parametrize("item", [7, None, b"bytes"], ids=repr)
def test_refuses_items_that_are_no_part_of_an_answer(kind: Kind, item: object) -> None:
    with pytest.raises(TypeError, match="a model yields text, dicts or pydantic objects"):
        complete(kind, kind.function(lambda _: item, 15.0), chat())


class Endless:
    """A model that speaks until it is closed."""

    def __init__(self) -> None:
        self.started = 0
        self.closed = 0
        self.end = threading.Event()

    def sync(self, _: ChatRequest) -> Iterator[str]:
        self.started += 1
        try:
            while True:
                yield "word "
        finally:
            self.closed += 1
            self.end.set()

    async def asynchronous(self, _: ChatRequest) -> AsyncIterator[str]:
        self.started += 1
        try:
            while True:
                yield "word "
        finally:
            self.closed += 1
            self.end.set()


endless_forms = pytest.mark.parametrize("form", ["sync", "asynchronous"])


@every_kind
@endless_forms
@pytest.mark.parametrize("how", ["aclose", "finish"])
def test_closing_a_stream_closes_the_generator_once(kind: Kind, form: str, how: str) -> None:
    model = Endless()

    async def scenario() -> None:
        stream = await kind.function(getattr(model, form), 15.0).stream(chat())
        assert await stream.__anext__()
        await getattr(stream, how)()
        await getattr(stream, how)()

    kind.run(scenario)
    assert model.end.wait(10)
    assert model.closed == 1


@every_kind
@endless_forms
def test_a_stream_that_is_closed_before_it_starts_never_runs(kind: Kind, form: str) -> None:
    model = Endless()

    async def scenario() -> None:
        stream = await kind.function(getattr(model, form), 15.0).stream(chat())
        await stream.aclose()
        with pytest.raises(StopAsyncIteration):
            await stream.__anext__()

    kind.run(scenario)
    assert model.started == 0


@endless_forms
def test_cancelling_a_completion_closes_the_generator(form: str) -> None:
    model = Endless()

    async def scenario() -> None:
        with anyio.move_on_after(0.01) as scope:
            await ASYNCIO.function(getattr(model, form), 15.0).complete(chat())
        assert scope.cancelled_caught

    ASYNCIO.run(scenario)
    assert model.end.wait(10)
    assert model.closed == 1


def test_a_model_waits_for_a_slow_reader() -> None:
    spoken = 0
    full = threading.Event()

    def counts(_: ChatRequest) -> Iterator[str]:
        nonlocal spoken
        while True:
            spoken += 1
            if spoken == 17:
                full.set()
            yield "word "

    async def scenario() -> None:
        stream = await ASYNCIO.function(counts, 15.0).stream(chat())
        await stream.__anext__()
        assert full.wait(10)
        await stream.aclose()

    ASYNCIO.run(scenario)
    assert spoken <= 17 * 3


def test_sync_functions_run_beside_the_event_loop_in_the_callers_context() -> None:
    tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant")
    loop_thread = threading.get_ident()
    seen: list[tuple[str, bool]] = []

    def function(_: ChatRequest) -> Iterator[str]:
        for _step in range(2):
            seen.append((tenant.get(), threading.get_ident() != loop_thread))
            yield "word "

    async def scenario() -> None:
        tenant.set("team-a")
        await ASYNCIO.function(function, 15.0).complete(chat())

    ASYNCIO.run(scenario)
    assert seen == [("team-a", True)] * 2


@pytest.mark.parametrize("form", ["sync", "async"])
def test_silence_gives_empty_batches_and_loses_nothing(form: str) -> None:
    go = threading.Event()

    def sync(_: ChatRequest) -> Iterator[str]:
        assert go.wait(10)
        yield "word"

    async def asynchronous(_: ChatRequest) -> AsyncIterator[str]:
        while not go.is_set():
            await anyio.lowlevel.checkpoint()
        yield "word"

    async def scenario() -> list[Any]:
        stream = await ASYNCIO.function(sync if form == "sync" else asynchronous, 0.001).stream(chat())
        assert await stream.__anext__() == []
        assert await stream.__anext__() == []
        go.set()
        return await events_of(stream)

    events = ASYNCIO.run(scenario)
    assert text_of([event.data for event in events[:-1]]) == "word"


def test_an_async_generator_runs_in_one_task() -> None:
    async def function(_: ChatRequest) -> AsyncIterator[str]:
        async with anyio.create_task_group():
            yield "word "
            await anyio.lowlevel.checkpoint()
            yield "word"

    assert complete(ASYNCIO, ASYNCIO.function(function, 15.0), chat())["choices"][0]["message"]["content"] == "word word"


def test_the_clean_up_of_an_async_generator_may_wait() -> None:
    cleaned = False

    async def function(_: ChatRequest) -> AsyncIterator[str]:
        nonlocal cleaned
        try:
            while True:
                yield "word "
        finally:
            await anyio.lowlevel.checkpoint()
            cleaned = True

    async def scenario() -> None:
        stream = await ASYNCIO.function(function, 15.0).stream(chat())
        await stream.__anext__()
        await stream.aclose()

    ASYNCIO.run(scenario)
    assert cleaned


def test_a_model_that_something_else_cancels_is_not_complete() -> None:
    import asyncio

    async def function(_: ChatRequest) -> AsyncIterator[str]:
        yield "word "
        raise asyncio.CancelledError

    with pytest.raises(UpstreamError, match="stopped before its answer was complete"):
        complete(ASYNCIO, AsyncFunctionModel(function, 15.0), chat())


async def says_hello() -> AsyncIterator[str]:
    yield "hello"


def test_an_async_model_must_be_declared_so() -> None:
    with pytest.raises(TypeError, match="async def"):
        complete(ASYNCIO, ASYNCIO.function(lambda _: says_hello(), 15.0), chat())


def test_a_blocking_gateway_names_the_async_function_that_waits() -> None:
    closed = []

    async def waits_for_a_loop(_: ChatRequest) -> AsyncIterator[str]:
        try:
            await Suspends()
            yield "never"
        finally:
            closed.append(True)

    with pytest.raises(RuntimeError, match="waits_for_a_loop suspended in a blocking gateway"):
        complete(BLOCKING, BlockingFunctionModel(waits_for_a_loop, 15.0), chat())
    assert closed == [True]


class Suspends:
    def __await__(self) -> Generator[None, None, None]:
        yield
