"""Work beside requests."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Background(Protocol):
    """Runs what must not depend on the request that caused it. Lazy: nothing runs before it is asked for, nor after `aclose`."""

    async def complete(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` to its end and return its result, even if the request is cancelled meanwhile: then it goes on without it."""
        ...

    def keep(self, interval: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `work` every `interval` seconds from now on, in this process and event loop, until `aclose`.

        Asked again for what runs already, it does nothing. What `work` raises is logged, by its class alone, and does not stop it.
        """
        ...

    async def aclose(self) -> None:
        """Stop everything that `keep` started."""
        ...
