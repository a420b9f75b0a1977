"""Whose state is it: what belongs to one process, and what belongs to one event loop.

A child process must not use its parent's connections, which it would close for the parent too, nor locks that threads of the parent hold.
An event loop must not use connections of another one.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar
from weakref import WeakKeyDictionary, WeakSet

from completions_mw.core.resilience import throttle

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

T = TypeVar("T")


class PerProcess:
    """Base of objects whose state belongs to one process: `reset` makes it, at first and in each child process."""

    def __init__(self) -> None:
        self.reset()
        _instances.add(self)

    def reset(self) -> None:
        """Set up everything that belongs to one process. Called in a child before any other of its code runs."""


class PerLoop(Generic[T]):
    """A value for each event loop, made when it is first asked for there, and forgotten with the loop.

    Args:
        make: returns the value of an event loop.
    """

    __slots__ = ("_make", "_values")

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._values: WeakKeyDictionary[AbstractEventLoop, T] = WeakKeyDictionary()

    def get(self) -> T:
        """Return the value of the running event loop."""
        # Imported here, since a blocking gateway needs no event loop.
        from asyncio import get_running_loop

        loop = get_running_loop()
        value = self._values.get(loop)
        return self._values.setdefault(loop, self._make()) if value is None else value

    def pop(self) -> T | None:
        """Return the value of the running event loop, if it has one, and forget it."""
        from asyncio import get_running_loop

        return self._values.pop(get_running_loop(), None)


_instances: Final[WeakSet[PerProcess]] = WeakSet()
_abandoned: Final[list[dict[str, Any]]] = []
"""The parent's state: kept in a child, since its finalizers would close what the parent uses."""


def _reset_in_child() -> None:
    for instance in _instances:
        _abandoned.append(vars(instance).copy())
        instance.reset()
    throttle.rearm_after_fork()


os.register_at_fork(after_in_child=_reset_in_child)
