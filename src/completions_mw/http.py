"""What crosses the borders of the core: requests and responses of the host app, and of upstreams.

Header names are lower-case everywhere. Values are text as HTTP/1.1 carries it: one character a byte (latin-1).
"""

from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

StreamT = TypeVar("StreamT")

Headers = tuple[tuple[str, str], ...]
"""Names in lower case and values, in the order of the wire; repeated headers stay repeated."""


class RequestBody(Protocol):
    """A request body that has not been read yet, so that a refusal need not wait for it."""

    async def read(self, limit: int) -> bytes:
        """Return the whole body.

        Raises:
            RequestTooLargeError: it has more than `limit` bytes; nothing beyond them is kept.
            RequestTimeoutError: the client sends it too slowly.
        """
        ...


class ByteStream(Protocol):
    """A body that is sent or received in pieces. An object, not a generator: closing one that never started works."""

    def __anext__(self) -> Awaitable[bytes]: ...

    async def aclose(self) -> None: ...


class ClientConnection(Protocol):
    """The client's own connection, where the server shows it: lets a blocking wait notice that the client left."""

    def fileno(self) -> int: ...

    def is_gone(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Request:
    """A request of the host app, in no framework's terms."""

    method: str
    path: str
    """Decoded, and relative to where the host app is mounted (without SCRIPT_NAME or root_path)."""
    headers: Headers = field(repr=False)
    """Not in the repr, as they hold the key; nor is the body: error trackers write down what local variables look like."""
    body: bytes | RequestBody = field(default=b"", repr=False)
    client: str | None = None
    """Address of the client, for logs."""
    native: Any = field(default=None, repr=False)
    """The host framework's own request (Flask, Django, Starlette), the ASGI scope or the WSGI environ: for `authenticate`."""
    connection: ClientConnection | None = None
    debug: bool = False
    """Whether the host app runs in its debug mode: logs may then quote exceptions."""


@dataclass(frozen=True, slots=True)
class Response(Generic[StreamT]):
    """An answer to the host app's client. A streamed body must be closed, whether it was read to its end or not."""

    status: int
    headers: Headers
    body: bytes | StreamT = field(repr=False)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a call to an upstream may take, in seconds."""

    connect: float = 3.0
    first_byte: float = 60.0
    """From the request sent to the whole head of the answer."""
    between_events: float = 30.0
    """Silence inside the answer."""
    total: float = 600.0


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """A call to an upstream's HTTP API, complete but for what the transport adds (host, length, encoding)."""

    url: str
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)
    timeouts: Timeouts = Timeouts()
    connection: ClientConnection | None = None
    """The client for whom the call is made; a blocking transport gives up when it leaves."""


class UpstreamBody(ByteStream, Protocol):
    """An upstream's answer, piece by piece. An empty piece says: nothing came for one keep-alive interval."""

    async def finish(self) -> None:
        """Give the connection back: the answer is complete, so wait only a moment for its end, then close."""
        ...


@dataclass(frozen=True, slots=True)
class UpstreamResponse:
    """The head of an upstream's answer, and its body still to be read."""

    status: int
    headers: Headers
    body: UpstreamBody

    def header(self, name: str) -> str | None:
        """Return the first value of the header `name` (lower case)."""
        return next((value for key, value in self.headers if key == name), None)
