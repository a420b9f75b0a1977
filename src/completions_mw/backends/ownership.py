"""State that belongs to one process, and state that belongs to one event loop.

A child process must not use its parent's connections, since closing one closes it for the parent too, nor locks that threads of the parent
hold. An event loop must not use connections of another event loop.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar
from weakref import WeakSet, ref

from completions_mw.core.resilience import throttle

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

T = TypeVar("T")


class PerProcess:
    """Base class of objects with state that belongs to one process: `reset` makes this state, at construction and in each forked child.

    A subclass with a constructor of its own sets what `reset` reads, and then calls this constructor. The parent's state stays in a child's
    memory, untouched.
    """

    def __init__(self) -> None:
        self.reset()
        _instances.add(self)

    def reset(self) -> None:
        """Make the state of a new process. It may open nothing and take no lock, since a forked child runs it before all but fork hooks."""


class PerLoop(Generic[T]):
    """One value for each event loop: made at the first `get` on the loop, and dropped together with the loop.

    Args:
        make: returns the value for the running event loop.
    """

    __slots__ = ("__weakref__", "_make", "_running_loop", "_values")

    def __init__(self, make: Callable[[], T]) -> None:
        # Imported here, since a blocking gateway needs no event loop; and once, since `get` runs several times for each request.
        from asyncio import get_running_loop

        self._running_loop = get_running_loop
        self._make = make
        # By the id of the loop, because a `WeakKeyDictionary` makes a new reference at each look-up.
        self._values: dict[int, tuple[ref[AbstractEventLoop], T]] = {}

    def get(self) -> T:
        """Return the value of the running event loop."""
        loop = self._running_loop()
        found = self._values.get(id(loop))
        return self._add(loop) if found is None else found[1]

    def pop(self) -> T | None:
        """Remove and return the value of the running event loop; None if there is none."""
        found = self._values.pop(id(self._running_loop()), None)
        return None if found is None else found[1]

    def _add(self, loop: "AbstractEventLoop") -> T:
        key, owner = id(loop), ref(self)

        def drop(_: object) -> None:
            # Runs as the loop ends, before another one can have its id.
            if (alive := owner()) is not None:
                alive._values.pop(key, None)

        value = self._make()
        self._values[key] = ref(loop, drop), value
        return value


_instances: Final[WeakSet[PerProcess]] = WeakSet()
_abandoned: Final[list[dict[str, Any]]] = []
"""The state of parent processes, kept alive in a child: finalizers of this state would close what the parent uses."""


def _reset_in_child() -> None:
    # A copy: `reset` may make further instances, which are new already.
    for instance in tuple(_instances):
        _abandoned.append(vars(instance).copy())
        instance.reset()
    throttle.rearm_after_fork()


os.register_at_fork(after_in_child=_reset_in_child)
