"""The port of waits within a request, and of work that is done twice to have it sooner."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from completions_mw.http import ClientConnection

T = TypeVar("T")
Contestant = Callable[[ClientConnection | None], Coroutine[Any, Any, T | None]]
"""Does the work, and returns its result, or None if it has failed. What it waits for has to watch the connection that it is given."""


class Waiting(Protocol):
    """How a request waits."""

    async def pause(self, seconds: float, connection: ClientConnection | None) -> None:
        """Wait.

        Args:
            seconds: how long.
            connection: connection of the client, where its leaving is to end the wait.

        Raises:
            ClientDisconnectedError: the client left.
        """
        ...

    async def race(
        self,
        first: Contestant[T],
        second: Contestant[T],
        delay: float,
        connection: ClientConnection | None,
        drop: Callable[[T], Coroutine[Any, Any, None]],
    ) -> T | None:
        """Run `first`, and `second` beside it if `first` has not ended by then, until one of them gives a result.

        What still runs is cancelled; without an event loop, its connection seems to be left by its client.

        Args:
            first: begins at once.
            second: begins after `delay`.
            delay: seconds.
            connection: connection of the client, where its leaving is to end the race.
            drop: is given a result that came too late.

        Returns:
            The first result; None if there is none.

        Raises:
            ClientDisconnectedError: the client left.
        """
        ...
