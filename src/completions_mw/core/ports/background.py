"""The port of work beside requests."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Watched(Protocol):
    """Something that is looked after while it lasts."""

    async def check(self) -> None: ...


class Stopping(Protocol):
    """Something that has to be told when the server stops, before the server ends its process."""

    async def begin(self) -> None:
        """The server has been told to stop: the requests that run may go on for now."""
        ...

    async def cut(self) -> None:
        """The time that the server gives its requests is nearly over."""
        ...


class Background(Protocol):
    """Runs work that must not depend on the request that caused it. Nothing runs before the first call, nor after `aclose`."""

    async def complete(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` to its end and return its result. If the request is cancelled meanwhile, `work` goes on without it."""
        ...

    def keep(self, interval: float, work: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], bool]:
        """Run `work` every `interval` seconds from now on, in this process and event loop, until `aclose`.

        A call for work that runs already has no effect. An exception of `work` is logged by its class, and does not stop it.

        Returns:
            A function that tells whether what runs here can still go on: False once its event loop is closed, and in a forked child.
        """
        ...

    def watch(self, watched: Watched) -> None:
        """Call `watched.check()` every second, in this process and event loop, until `unwatch` or the end of `watched`.

        An exception of `check` is logged by its class.
        """
        ...

    def unwatch(self, watched: Watched) -> None: ...

    def canceller(self) -> Callable[[], None]:
        """Return a function that cancels the request that asks, if it still runs; without effect where requests cannot be cancelled."""
        ...

    def watch_server(self, stopping: Stopping) -> None:
        """Tell `stopping` when the server stops, where the server shows that. A call for one that is told already has no effect."""
        ...

    def is_stop(self, error: BaseException) -> bool:
        """Return whether `error` cancels a request because the server stops, where the server shows that."""
        ...

    async def aclose(self) -> None:
        """Stop all work that `keep` started."""
        ...
