"""What a connection of either transport does for the calls that it serves."""

from typing import Final, Protocol

from completions_mw.backends.http.call import UpstreamCall
from completions_mw.backends.pool import Connection
from completions_mw.http import ClientConnection

JOINED_BYTES: Final = 64 * 1024
"""Bodies up to this size are sent together with their head."""


class CallConnection(Connection, Protocol):
    """A connection that serves calls, one after another."""

    async def send(self, call: UpstreamCall, head: bytes, body: bytes) -> None:
        """Begin to serve `call`: write the request.

        Args:
            call: is fed with what arrives from now on.
            head: of the request.
            body: of the request.

        Raises:
            GatewayError: the request could not be written in time. A connection that was lost shows in the call.
        """
        ...

    async def wait(self, until: float, client: ClientConnection | None) -> bool:
        """Wait until the call has news; return False if there are none at the time `until`. Loses nothing.

        Args:
            until: seconds of the monotonic clock.
            client: for whom the call is made, where its leaving is to end the wait.

        Raises:
            ClientDisconnectedError: the client left.
        """
        ...

    def end_call(self) -> None:
        """Serve no call any more: what arrives now closes the connection."""
        ...

    def drop(self) -> None:
        """Close the connection in the garbage collector, which may interrupt anything."""
        ...
