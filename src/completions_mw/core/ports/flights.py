"""The port of single flight: how requests of one process, or of one event loop, wait for each other."""

from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Protocol


class Lock(Protocol):
    """A lock between threads."""

    def acquire(self, blocking: bool = ..., timeout: float = ...) -> bool: ...
    def release(self) -> None: ...
    def __enter__(self) -> bool: ...
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /) -> None: ...


class Steps(Protocol):
    """Runs the steps of one flight, one at a time, for whoever of its requests needs the next one.

    No request owns a flight: a thread that needs more of the answer fetches it while the other threads wait, and a task that is cancelled
    leaves the step to the other tasks.
    """

    async def run(self, step: Callable[[], Coroutine[Any, Any, None]], seconds: float | None) -> bool:
        """Run a step, or wait until the step under way has ended.

        After a wait, the caller looks at the flight again, and calls `run` again if it still needs more.

        Args:
            step: makes the step; it must not raise an `Exception`.
            seconds: maximum of seconds to wait for the steps of other requests; None for no maximum.

        Returns:
            Whether a step has ended; False if the seconds have passed.
        """
        ...

    def cancel(self) -> None:
        """Cancel the step under way, which nobody waits for any more. Without an event loop nothing is under way then."""
        ...


class Flights(Protocol):
    """What the single flight of one process needs."""

    @property
    def lock(self) -> Lock:
        """Guards the table and the counts of all flights. It is held for a moment only, and never while something is awaited."""
        ...

    def table(self) -> dict[bytes, Any]:
        """Return the flights under way by their key: those of this process, or of the running event loop."""
        ...

    def steps(self) -> Steps:
        """Return what runs the steps of a new flight."""
        ...

    async def pause(self, seconds: float) -> None:
        """Wait."""
        ...
