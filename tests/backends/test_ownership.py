"""State of one process, and of one event loop."""

import asyncio
import gc
import os
import signal
import weakref
from collections.abc import Callable
from threading import Lock

from completions_mw.backends.ownership import PerLoop, PerProcess


class Holder(PerProcess):
    """Holds a lock and a resource, as a pool does."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__()

    def reset(self) -> None:
        self.lock = Lock()
        self.resource = Resource(self.name)


class Resource:
    def __init__(self, name: str) -> None:
        self.name = name
        self.process = os.getpid()


def in_child(check: Callable[[], bool]) -> bool:
    """Return what `check` returns in a forked child."""
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(0 if check() else 1)
    return os.waitpid(child, 0)[1] == 0


def test_state_is_made_at_construction() -> None:
    holder = Holder("a")
    assert (holder.resource.name, holder.resource.process) == ("a", os.getpid())


def test_a_child_has_a_state_of_its_own() -> None:
    holder = Holder("a")
    parent = os.getpid()

    def check() -> bool:
        return holder.name == holder.resource.name == "a" and holder.resource.process == os.getpid() != parent

    assert in_child(check)
    assert holder.resource.process == parent


def test_a_grandchild_has_a_state_of_its_own() -> None:
    holder = Holder("a")
    assert in_child(lambda: in_child(lambda: holder.resource.process == os.getpid()))


def test_a_child_waits_for_no_lock_of_its_parent() -> None:
    holder = Holder("a")
    with holder.lock:
        assert in_child(lambda: holder.lock.acquire(timeout=0))


def test_what_the_parent_uses_is_not_finalized_in_a_child() -> None:
    holder = Holder("a")
    finalized: list[int] = []
    weakref.finalize(holder.resource, lambda: finalized.append(os.getpid()))

    assert in_child(lambda: finalized == [])


def test_objects_are_not_kept() -> None:
    holder = Holder("a")
    gone = weakref.ref(holder)
    del holder
    assert gone() is None


def test_objects_that_a_reset_makes_are_ready() -> None:
    class Parent(PerProcess):
        def reset(self) -> None:
            self.inner = Holder("inner")

    parent = Parent()
    assert in_child(lambda: parent.inner.resource.process == os.getpid())


def test_each_event_loop_has_a_value_of_its_own() -> None:
    values: PerLoop[list[int]] = PerLoop(list)

    async def add() -> list[int]:
        values.get().append(1)
        return values.get()

    async def add_twice() -> list[int]:
        assert await add() is await add()
        return values.get()

    assert asyncio.run(add_twice()) == [1, 1]
    assert asyncio.run(add()) == [1]


def test_a_popped_value_is_made_anew() -> None:
    values: PerLoop[list[int]] = PerLoop(list)

    async def scenario() -> None:
        assert values.pop() is None
        values.get().append(1)
        assert values.pop() == [1]
        assert values.pop() is None
        assert values.get() == []

    asyncio.run(scenario())


def test_event_loops_are_not_kept() -> None:
    values: PerLoop[list[int]] = PerLoop(list)

    async def use() -> "weakref.ref[asyncio.AbstractEventLoop]":
        values.get()
        return weakref.ref(asyncio.get_running_loop())

    loop = asyncio.run(use())
    gc.collect()
    assert loop() is None
