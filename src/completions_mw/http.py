"""HTTP messages that enter and leave the core: requests and responses of the host app and of upstreams.

Header names are in lower case. Header values are text with one character for each byte (latin-1), as in HTTP/1.1.

Nothing changes a message once it is made. Those that each request has are not declared `frozen`: that makes them five times as slow.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Generic, Protocol, TypeVar

StreamT = TypeVar("StreamT")

Headers = tuple[tuple[str, str], ...]
"""Pairs of a name in lower case and a value, in the order of the message; repeated headers stay repeated."""


class RequestBody(Protocol):
    """A request body that has not been read yet, so that a request can be refused without waiting for its body."""

    async def read(self, limit: int) -> bytes:
        """Return the whole body.

        Raises:
            RequestTooLargeError: the body has more than `limit` bytes; the rest is not kept.
            RequestTimeoutError: the client did not send the body in time.
            ClientDisconnectedError: the client left before it had sent the body.
        """
        ...

    async def discard(self, limit: int, seconds: float) -> bool:
        """Drop what is left of the body, so that the server can use the connection for the next request.

        Args:
            limit: maximum of bytes to drop.
            seconds: maximum of seconds to wait for them.

        Returns:
            Whether the end of the body was reached.
        """
        ...


class ByteStream(Protocol):
    """A body that is sent or received in pieces. Not a generator, since closing a generator that never started closes nothing."""

    def __anext__(self) -> Awaitable[bytes]: ...

    async def aclose(self) -> None: ...


class ClientConnection(Protocol):
    """The connection of a client, if the server exposes it: a blocking wait watches it to notice that the client left."""

    def fileno(self) -> int:
        """Return the descriptor that can be read once the client has left; -1 where the connection is not to be watched."""
        ...

    def is_gone(self) -> bool: ...


@dataclass(slots=True)
class Request:
    """A request to the host app, independent of its framework. An adapter may make what is seldom asked for when it is asked for."""

    method: str
    path: str
    """Decoded path, relative to the mount point of the host app: without SCRIPT_NAME or root_path."""
    headers: Headers = field(repr=False)
    """Headers of the request. Not in the repr, since they hold the API key and error trackers record the repr of local variables."""
    body: bytes | RequestBody = field(default=b"", repr=False)
    client: str | None = None
    """Address of the client; None if the server does not tell it."""
    native: Any = field(default=None, repr=False)
    """Request object of Flask, Django or Starlette, or the ASGI scope or WSGI environ, for the `authenticate` function."""
    connection: ClientConnection | None = None
    """Connection of the client, if a blocking server exposes it."""
    disconnect: Callable[[], None] | None = field(default=None, repr=False)
    """Ends the connection of a client that does not take its answer; None where the host app has no way to."""
    debug: bool = False
    """Whether the host app runs in debug mode, in which logs may quote exceptions."""

    def pick(self, names: frozenset[str]) -> tuple[dict[str, str], int]:
        """Return the headers with these names, those that are repeated joined by commas, and the bytes that all headers take."""
        picked: dict[str, str] = {}
        for name, value in self.headers:
            if name in names:
                picked[name] = value if name not in picked else f"{picked[name]},{value}"
        return picked, len("".join(chain.from_iterable(self.headers)))


@dataclass(slots=True)
class Response(Generic[StreamT]):
    """A response to a client of the host app. A streamed body must be closed, also after it was read to its end."""

    status: int
    headers: Headers
    body: bytes | StreamT = field(repr=False)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that the phases of a call to an upstream may take."""

    connect: float = 3.0
    """Seconds until the connection is open."""
    first_byte: float = 120.0
    """Seconds from the end of the request to the first byte of the response's body."""
    between_events: float = 120.0
    """Seconds without a byte of the response's body."""
    total: float = 600.0
    """Seconds from the start of the call to the end of the response."""

    def within(self, seconds: float) -> "Timeouts":
        """Return these timeouts with no more than `seconds` for the whole call."""
        return replace(self, total=min(self.total, seconds))


@dataclass(slots=True)
class UpstreamRequest:
    """A POST request to an upstream's API.

    A wire format makes it, and the target that sends it adds for whom. The transport adds the headers for host, length and encoding.
    """

    url: str
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)
    timeouts: Timeouts = Timeouts()
    connection: ClientConnection | None = None
    """Connection of the client who waits for the answer; a blocking transport stops when that client leaves."""
    caller: str = ""
    """Scope and id of the caller, who may have a share of the connections; empty for the host app itself."""


class UpstreamBody(ByteStream, Protocol):
    """The body of an upstream's response, in pieces. An empty piece means that nothing was received for one keep-alive interval."""

    def detach(self, tick: float) -> None:
        """Go on without the client, which has left: an empty piece after `tick` seconds in which nothing was received."""
        ...

    async def finish(self) -> None:
        """Release the connection of a complete answer: wait a moment for the end of the body, then close."""
        ...


@dataclass(slots=True)
class UpstreamResponse:
    """Status and headers of an upstream's response, and its body, which has not been read yet."""

    status: int
    headers: Headers
    body: UpstreamBody

    def header(self, name: str) -> str | None:
        """Return the first value of the header `name`, which is in lower case; None if there is none."""
        return next((value for key, value in self.headers if key == name), None)
