"""The queue of calls that wait for a store, and the rules by which they become batches."""

from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.core.ports import Clock, StoreError, StoreOverloadedError

C = TypeVar("C")
"""The type of calls."""
A = TypeVar("A")
"""The type of their answers."""
C_contra = TypeVar("C_contra", contravariant=True)
A_co = TypeVar("A_co", covariant=True)
W = TypeVar("W", bound="Waiting")

Execute = Callable[[list[C]], Awaitable[Sequence[A | Exception]]]
"""Makes the calls of a batch, and returns an answer or an exception for each; an exception that it raises is the answer to all."""

MAX_BATCH: Final = 64
"""Calls of one batch, so that other processes, and the calls behind it, do not wait long."""
LANE_SECONDS: Final = 0.005
"""Seconds for which a batch is under way before another one begins beside it, where the store can do several at the same time: most are
over by then, and the calls that wait for them make up the next batch."""


class Bounds(NamedTuple):
    """How many calls may wait and how long, for calls that may be refused."""

    calls: int = 5_000
    """Number of calls that may wait in a process, or on an event loop."""
    seconds: float = 5.0
    """Seconds for which a call may wait."""
    share: float = 1.0
    """Part of `calls` that one caller may have."""


class Batches(Protocol[C_contra, A_co]):
    """Makes calls of a store, those that wait together in one batch."""

    async def __call__(self, call: C_contra, *, refusable: bool = False, caller: str = "") -> A_co:
        """Make a call and return its answer.

        Args:
            call: the call.
            refusable: whether the call is refused where too many calls wait, or where it has waited for too long.
            caller: for whom the call is made, who may have a share of the places; empty for the host app itself.

        Raises:
            StoreOverloadedError: the call was refused, and not made.
            Exception: the answer to this call, or to its batch.
        """
        ...


class Waiting:
    """A call in the queue. Subclasses hold the call, and what waits for its answer."""

    __slots__ = ("caller", "until")
    caller: str
    """For whom the call is made; empty where nobody's share is counted."""
    until: float | None
    """Monotonic time at which the call is refused if it has not begun; None for a call that is never refused."""

    def is_wanted(self) -> bool:
        """Return whether the caller still waits for the answer."""
        raise NotImplementedError

    def refuse(self, error: Exception) -> None:
        """Tell the caller that the call was not made."""
        raise NotImplementedError


class BatchQueue(Generic[W]):
    """The calls that wait, the oldest first, and how many batches are under way. Not for several threads at the same time.

    Args:
        bounds: how many calls may wait and how long, where calls may be refused.
        lanes: batches that may be under way at the same time.
        clock: time, for waiting.
    """

    __slots__ = ("_bounds", "_busy", "_callers", "_calls", "_lanes", "_latest", "_now", "_running")

    def __init__(self, bounds: Bounds, lanes: int, clock: Clock = SYSTEM_CLOCK) -> None:
        self._now = clock.monotonic
        self._bounds = bounds
        self._lanes = lanes
        self._calls: deque[W] = deque()
        self._callers: Counter[str] = Counter()
        """How many calls wait for each caller but the host app itself, which may have all places."""
        self._busy: Counter[str] = Counter()
        """How many calls are under way for each caller, where there are several lanes: two batches with the same caller would wait for
        each other in the store."""
        self._running = 0
        self._latest = 0.0
        """Monotonic time at which the last batch has begun."""

    def add(self, waiting: W, *, refusable: bool, caller: str = "") -> None:
        """Let a call wait.

        Raises:
            StoreOverloadedError: the call may be refused, and too many wait, of all callers or of this one.
        """
        waiting.until, waiting.caller = None, caller
        if refusable:
            places, seconds, share = self._bounds
            if len(self._calls) >= places or (caller in self._callers and self._callers[caller] >= max(1, places * share)):
                raise StoreOverloadedError("too many calls wait for the store")
            waiting.until = self._now() + seconds
        if caller:
            self._callers[caller] += 1
        self._calls.append(waiting)

    def begin(self) -> list[W]:
        """Return the calls of the next batch, which begins now; none where nothing waits, or where those under way come first."""
        batch: list[W] = []
        if not self._calls or not self._has_room():
            return batch
        now = self._now()
        put_off: list[W] = []
        while self._calls and len(batch) < MAX_BATCH and len(put_off) < MAX_BATCH:
            waiting = self._calls.popleft()
            if waiting.caller and waiting.caller in self._busy:
                put_off.append(waiting)
                continue
            if waiting.caller:
                self._leave(waiting.caller)
            if not waiting.is_wanted():
                continue
            if waiting.until is not None and waiting.until < now:
                waiting.refuse(StoreOverloadedError("the call has waited for too long"))
            else:
                batch.append(waiting)
        self._calls.extendleft(reversed(put_off))
        if batch:
            self._running += 1
            self._latest = now
            if self._lanes > 1:
                self._busy.update(waiting.caller for waiting in batch)
        return batch

    def end(self, batch: Sequence[W]) -> None:
        """Note that a batch is over."""
        self._running -= 1
        if self._lanes > 1:
            self._busy -= Counter(waiting.caller for waiting in batch)

    def put_back(self, batch: Sequence[W]) -> None:
        """End a batch whose calls were not made; they are the next ones again."""
        self._calls.extendleft(reversed(batch))
        self._callers.update(waiting.caller for waiting in batch if waiting.caller)
        self.end(batch)

    def _leave(self, caller: str) -> None:
        self._callers[caller] -= 1
        if not self._callers[caller]:
            del self._callers[caller]

    def _has_room(self) -> bool:
        if not self._running:
            return True
        return self._running < self._lanes and self._now() - self._latest >= LANE_SECONDS


def failures_of(error: Exception, count: int) -> list[Exception]:
    """Return an exception for each of `count` callers whose batch has failed: one that several threads raise would mix up their frames."""
    if not isinstance(error, StoreError):
        return [error] * count
    twins = [type(error)(*error.args) for _ in range(count)]
    for twin in twins:
        twin.__cause__ = error.__cause__
    return list(twins)
