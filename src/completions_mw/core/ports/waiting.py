"""The port of waits within a request."""

from typing import Protocol

from completions_mw.http import ClientConnection


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
