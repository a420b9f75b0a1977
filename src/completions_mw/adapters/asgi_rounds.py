"""One timer for all requests of an event loop, by which those that take long are looked after."""

from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import Callable, Coroutine, Generator
from types import coroutine
from typing import Any, Final, Protocol, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")

ROUND_SECONDS: Final = 0.02
"""Seconds between two rounds: much less than any model takes."""


class Visited(Protocol):
    """What a round visits."""

    def visit(self) -> None:
        """Called once, after one to two rounds, in the event loop."""
        ...


class Rounds:
    """Visits each object that has joined once, `ROUND_SECONDS` to twice as long after it joined, unless it has left before.

    Most requests are answered sooner: they join and leave, and cost neither a timer nor a task of their own, which would be a large part of
    the cost of a short answer. No timer runs in the event loop while nobody waits for a visit.
    """

    # Not the event loop, which would be kept in memory by the table of all rounds.
    __slots__ = ("_due", "_is_going", "_joined")

    def __init__(self) -> None:
        # Sets in the order of arrival.
        self._joined: dict[Visited, None] = {}
        self._due: dict[Visited, None] = {}
        """Those who joined before the last round."""
        self._is_going = False

    def join(self, visited: Visited) -> None:
        """Visit `visited` once, in one of the next two rounds."""
        self._joined[visited] = None
        if not self._is_going:
            self._is_going = True
            get_running_loop().call_later(ROUND_SECONDS, self._go)

    def leave(self, visited: Visited) -> None:
        """Do not visit `visited`, and keep no reference to it."""
        self._joined.pop(visited, None)
        self._due.pop(visited, None)

    def _go(self) -> None:
        due, self._due, self._joined = self._due, self._joined, {}
        self._is_going = bool(self._due)
        if self._is_going:
            get_running_loop().call_later(ROUND_SECONDS, self._go)
        for visited in due:
            visited.visit()


_rounds: Final[WeakKeyDictionary[AbstractEventLoop, Rounds]] = WeakKeyDictionary()


def rounds_of(loop: AbstractEventLoop) -> Rounds:
    """Return the rounds of an event loop."""
    return _rounds.get(loop) or _rounds.setdefault(loop, Rounds())


@coroutine
def noting_wait(work: Coroutine[Any, Any, T], on_wait: Callable[[], None]) -> Generator[Any, Any, T]:
    """Await `work`, and call `on_wait` when it waits for the first time; one that never waits is done at once."""
    try:
        awaited = work.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    on_wait()
    while True:
        try:
            yield awaited
        except BaseException as error:
            try:
                awaited = work.throw(error)
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]
        else:
            return (yield from work.__await__())
