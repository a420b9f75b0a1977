"""What a child process must not use: connections of its parent, which it would close for the parent too, and locks of its threads."""

import os
from typing import Any, Final
from weakref import WeakSet

from completions_mw.core.resilience import throttle


class Forkable:
    """Has what belongs to one process, made again in each child."""

    def __init__(self) -> None:
        self.start_anew()
        _all.add(self)

    def start_anew(self) -> None:
        """Set up everything that belongs to one process."""


_all: Final[WeakSet[Forkable]] = WeakSet()
_abandoned: Final[list[dict[str, Any]]] = []


def _start_anew() -> None:
    for one in _all:
        _abandoned.append(vars(one).copy())
        one.start_anew()
    throttle.rearm_after_fork()


os.register_at_fork(after_in_child=_start_anew)
