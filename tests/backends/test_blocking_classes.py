"""Nothing in a `Blocking...` class, or in what it shares with its async twin, awaits anything but itself and ports."""

import asyncio
import importlib
import inspect
import pkgutil
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
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

ON_EVENT_LOOPS = {"Inbox", "PeriodicTask", "TimeLimit"}
"""Parts of async backends that are not called so; a blocking class that awaited one would be found by what it awaits."""


def classes() -> Iterator[type]:
    """Yield what blocking gateways may use: blocking classes, and those that serve both kinds. Base classes are checked with theirs."""
    for package in (completions_mw.backends, completions_mw.gateway):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            module = importlib.import_module(found.name)
            for name, kind in vars(module).items():
                if inspect.isclass(kind) and kind.__module__ == found.name and not kind.__subclasses__() and _is_checked(name, kind):
                    yield kind


def _is_checked(name: str, kind: type) -> bool:
    if name.startswith("Blocking"):
        return True
    has_coroutines = any(map(inspect.iscoroutinefunction, vars(kind).values()))
    return has_coroutines and "backends." in kind.__module__ and not name.startswith("Async") and name not in ON_EVENT_LOOPS


CLASSES = {kind.__name__: kind for kind in classes()}


def test_every_blocking_class_is_checked() -> None:
    assert {"BlockingBackground", "BlockingBackends", "BlockingPostgres", "BlockingRedis", "BlockingTransport"} <= CLASSES.keys()
    assert {"Body", "CachedKeys", "MemoryAdmission", "ModelStream", "RedisAdmission", "SqlKeyStore"} <= CLASSES.keys()


@pytest.mark.parametrize("kind", CLASSES.values(), ids=CLASSES.keys())
def test_it_awaits_nothing_but_itself_and_ports(kind: type) -> None:
    assert faults(kind) == []


# The check itself


class Store(Protocol):
    async def get(self) -> int: ...


class Part:
    async def step(self) -> None:
        await asyncio.sleep(0)


async def helper(event: anyio.Event) -> None:
    await event.wait()


class BlockingGood:
    """Awaits all that it may."""

    def __init__(self, store: Store, background: Background) -> None:
        self._store = store
        self._background = background

    async def complete(self, work: Coroutine[Any, Any, int], store: Store) -> int:
        async with self._turn():
            return await work + await self._get() + await store.get() + await self._background.complete(self._get())

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


@pytest.mark.parametrize("kind", [BlockingBad, BlockingHeir])
def test_everything_else_is_found(kind: type) -> None:
    assert set(faults(kind)) == EXPECTED


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
