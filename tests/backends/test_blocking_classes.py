"""Nothing in a `Blocking...` class, or in what it shares with its async twin, awaits anything but itself and ports."""

import asyncio
import importlib
import inspect
import pkgutil
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from operator import attrgetter
from typing import Any, Protocol

import anyio
import pytest

import completions_mw.backends
import completions_mw.gateway
from completions_mw.backends.models.thread_source import BlockingThreadSource, Emit
from completions_mw.backends.time_limit import TimeLimit
from completions_mw.blocking import run_sync
from completions_mw.core.ports import Background, StoreError
from tests.support.awaits import faults


def classes() -> Iterator[type]:
    for package in (completions_mw.backends, completions_mw.gateway):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            members = vars(importlib.import_module(found.name)).values()
            yield from (member for member in members if isinstance(member, type) and member.__module__ == found.name)


ON_EVENT_LOOPS = {"Inbox", "Lookups", "OneThread", "PeriodicTask", "TimeLimit", "WatchedServer", "WorkerThreads"}
"""Parts of async backends that are not called so."""
ASYNC = {kind.__name__ for kind in classes() if kind.__name__.lstrip("_").startswith("Async")} | ON_EVENT_LOOPS


def is_checked(kind: type) -> bool:
    """Return whether a class is for blocking gateways, or for both kinds. Base classes are checked with those that inherit from them."""
    if kind.__subclasses__() or kind.__name__ in ASYNC:
        return False
    has_coroutines = any(map(inspect.iscoroutinefunction, vars(kind).values()))
    return kind.__name__.startswith("Blocking") or (has_coroutines and "backends." in kind.__module__)


CLASSES = [kind for kind in classes() if is_checked(kind)]
every_class = pytest.mark.parametrize("kind", CLASSES, ids=attrgetter("__name__"))


def test_every_blocking_class_is_checked() -> None:
    names = {kind.__name__ for kind in CLASSES}
    assert {"BlockingBackground", "BlockingBackends", "BlockingPostgres", "BlockingRedis", "BlockingHttpx2Transport"} <= names
    assert {"Body", "CachedKeys", "MemoryAdmission", "ModelStream", "RedisAdmission", "SqlKeyStore"} <= names


@every_class
def test_it_awaits_nothing_but_itself_and_ports(kind: type) -> None:
    assert faults(kind) == []


def for_event_loops(kind: type) -> set[str]:
    """Return what a class names of the parts of async backends: it must inject none of them either."""
    functions = [function for function in vars(kind).values() if inspect.isfunction(function)]
    return ASYNC.intersection(name for function in functions for name in function.__code__.co_names)


@every_class
def test_it_makes_nothing_for_event_loops(kind: type) -> None:
    assert for_event_loops(kind) == set()


# The check itself


class Store(Protocol):
    async def get(self) -> int: ...


class Runner(Protocol):
    async def __call__(self, work: Callable[[], int]) -> int: ...


class Part:
    async def __call__(self) -> None:
        await asyncio.sleep(1)

    async def step(self) -> None:
        await asyncio.sleep(0)


async def helper(event: anyio.Event) -> None:
    await event.wait()


class BlockingGood:
    """Awaits all that it may."""

    def __init__(self, store: Store, background: Background, runner: Runner, produce: Callable[[], Coroutine[Any, Any, int]]) -> None:
        self._store = store
        self._background = background
        self._runner = runner
        self._produce = produce

    async def complete(self, work: Coroutine[Any, Any, int], store: Store) -> int:
        async with self._turn():
            return await work + await self._get() + await store.get() + await self._background.complete(self._get())

    async def injected(self) -> int:
        return await self._runner(lambda: 1) + await self._produce()

    async def _get(self) -> int:
        return await self._store.get()

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        await self._get()
        yield


class BlockingBad:
    """Awaits all that it must not."""

    def __init__(self, part: Part, unknown: Any) -> None:
        self._part = part
        self._unknown = unknown
        self._event = anyio.Event()
        self._lock = asyncio.Lock()

    async def module(self) -> None:
        await asyncio.sleep(0)

    async def attribute(self) -> None:
        await self._event.wait()

    async def part(self) -> None:
        await self._part.step()
        await self._part()

    async def function(self) -> None:
        await helper(self._event)

    async def local(self) -> None:
        event = self._event
        await event.wait()

    async def unknown(self) -> None:
        await self._unknown.wait()

    async def manager(self) -> None:
        async with self._lock:
            pass

    async def limit(self) -> None:
        async with TimeLimit(1.0):
            pass

    async def own_manager(self) -> None:
        async with self._turn():
            pass

    async def loop(self, items: AsyncIterator[int]) -> None:
        async for _ in items:
            pass

    async def comprehension(self, items: AsyncIterator[int]) -> list[int]:
        return [item async for item in items]

    async def nested(self) -> None:
        async def inner() -> None:
            await asyncio.sleep(0)

        await inner()

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        await asyncio.sleep(0)
        yield


class BlockingHeir(BlockingBad):
    """Inherits all that."""


EXPECTED = {
    "BlockingBad.module: asyncio.sleep(0)",
    "BlockingBad.attribute: self._event.wait()",
    "Part.step: asyncio.sleep(0)",
    "Part.__call__: asyncio.sleep(1)",
    "helper: event.wait()",
    "BlockingBad.local: event.wait()",
    "BlockingBad.unknown: self._unknown.wait()",
    "BlockingBad.manager: self._lock",
    "BlockingBad.limit: TimeLimit(1.0)",
    "BlockingBad._turn: asyncio.sleep(0)",
    "BlockingBad.loop: items",
    "BlockingBad.comprehension: items",
    "BlockingBad.nested: asyncio.sleep(0)",
    "BlockingBad.nested: inner()",
}


def test_what_is_allowed_passes() -> None:
    assert faults(BlockingGood) == []
    assert for_event_loops(BlockingGood) == set()


@pytest.mark.parametrize("kind", [BlockingBad, BlockingHeir])
def test_everything_else_is_found(kind: type) -> None:
    assert set(faults(kind)) == EXPECTED


def test_parts_of_async_backends_are_found() -> None:
    assert for_event_loops(BlockingBad) == {"TimeLimit"}


# And as it runs, where no other test does so with every call


def test_a_source_in_a_thread_never_suspends() -> None:
    def produce(emit: Emit) -> None:
        for number in range(3):
            if emit(number):
                return
        raise StoreError("the end")

    source = BlockingThreadSource(produce, 0)
    assert [run_sync(source.__anext__()) for _ in range(3)] == [[0], [1], [2]]
    with pytest.raises(StoreError):
        run_sync(source.__anext__())
    run_sync(source.aclose())
    with pytest.raises(StopAsyncIteration):
        run_sync(source.__anext__())
