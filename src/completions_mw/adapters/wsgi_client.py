"""The client of a WSGI request: its body, and whether it is still connected."""

import select
import socket
import ssl
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Final, Protocol

from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.wsgi import get_input_stream

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.polling import new_poll
from completions_mw.core.validation.body_room import BodyRoom, BodyShare
from completions_mw.core.validation.headers import body_too_large_error
from completions_mw.errors import ClientDisconnectedError, LengthRequiredError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

PIECE: Final = 8192
"""Bytes that are dropped at a time."""
LARGE: Final = 65536
"""Bytes of a body that are read at a time, and above which it takes a share of the room for bodies while it is read."""


class Readable(Protocol):
    """A stream that is read piece by piece."""

    def read(self, size: int, /) -> bytes: ...


class CountedStream:
    """A body that takes a share of the room for bodies as it is read.

    Args:
        stream: the body.
        share: its share.
    """

    def __init__(self, stream: Readable, share: BodyShare) -> None:
        self._stream = stream
        self._share = share

    def read(self, size: int = sys.maxsize) -> bytes:
        """Return the whole body, or so many bytes of it.

        Raises:
            ServiceUnavailableError: there is no room left.
        """
        pieces: list[bytes] = []
        while piece := self._stream.read(min(LARGE, size)):
            self._share.take(len(piece))
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)


class WSGIBody:
    """The `RequestBody` of a WSGI request.

    Args:
        environ: the environ of the request.
        room: memory for the bodies of all requests.
    """

    def __init__(self, environ: "WSGIEnvironment", room: BodyRoom) -> None:
        self._environ = environ
        self._room = room

    async def read(self, limit: int) -> bytes:
        check_chunks(self._environ)
        if is_small(self._environ):
            return read_small(self._environ["wsgi.input"], int(self._environ["CONTENT_LENGTH"]), limit)
        try:
            # One byte more than is accepted, since werkzeug ends a chunked body at its limit without an error.
            stream = get_input_stream(self._environ, max_content_length=limit + 1)
            with BodyShare(self._room) as share:
                return read(CountedStream(stream, share).read, stream)
        except RequestEntityTooLarge:
            raise body_too_large_error(limit) from None

    async def discard(self, limit: int, seconds: float) -> bool:
        return discard(get_input_stream(self._environ), self._environ, limit, seconds)


def write_at_once(environ: "WSGIEnvironment") -> None:
    """Have eventlet's server write each piece of the answer as it comes. It would collect 4096 bytes of a stream first."""
    environ["eventlet.minimum_write_chunk_size"] = 0


def is_small(environ: "WSGIEnvironment") -> bool:
    """Return whether a body is so small that it is read at once: all of them are no more than the server's threads can have."""
    length: str = environ.get("CONTENT_LENGTH") or ""
    return length.isdecimal() and len(length) < 6 and int(length) <= LARGE


def check_chunks(environ: "WSGIEnvironment") -> None:
    """Refuse a chunked body on a server that does not unpack it: such a body cannot be told from none.

    Raises:
        LengthRequiredError: the body has no length.
    """
    if "HTTP_TRANSFER_ENCODING" in environ and not (environ.get("CONTENT_LENGTH") or environ.get("wsgi.input_terminated")):
        raise LengthRequiredError("This server does not support chunked request bodies (HINT: send a Content-Length).")


def read_small(stream: Readable, length: int, limit: int) -> bytes:
    """Return a small body, or what came of it: a client may leave, and a middleware may have read it before.

    Args:
        stream: the body as the server gives it, which need not end with it.
        length: number of its bytes.
        limit: maximum of bytes.

    Raises:
        RequestTooLargeError: the body has more than `limit` bytes.
    """
    if length > limit:
        raise body_too_large_error(limit)
    body = b""
    with suppress(OSError, ValueError):
        while len(body) < length and (piece := stream.read(length - len(body))):
            body += piece
    return body


def read(read_all: Callable[[], bytes], stream: IO[bytes]) -> bytes:
    """Return what `read_all` returns: a body of which all or nothing came, as where a middleware has read it before.

    Args:
        read_all: reads the rest of `stream`.
        stream: the body as werkzeug gives it.

    Raises:
        ClientDisconnectedError: only a part of the body came.
    """
    try:
        return read_all()
    except ClientDisconnected:
        if stream.tell() == 0:
            return b""
        raise ClientDisconnectedError from None


def discard(stream: Readable, environ: "WSGIEnvironment", limit: int, seconds: float) -> bool:
    """Drop what is left of a body: `RequestBody.discard` for WSGI.

    Servers have time limits of their own for a read. gunicorn has none, so its socket gets one. If the body has not ended then, the socket
    is closed for reading: gunicorn would wait for the rest, with the thread of the request.

    Args:
        stream: the body as the framework reads it, which ends with it.
        environ: the environ of the request.
        limit: maximum of bytes to drop.
        seconds: maximum of seconds to wait for them.
    """
    if environ.get("wsgi.input_terminated"):
        # The stream of a framework may have failed at a limit.
        stream = environ["wsgi.input"]
    sock = environ.get("gunicorn.socket")
    before = sock and sock.gettimeout()
    deadline = SYSTEM_CLOCK.monotonic() + seconds
    is_done = False
    with suppress(OSError, ValueError, ClientDisconnected):
        while not is_done and limit > 0 and (left := deadline - SYSTEM_CLOCK.monotonic()) > 0:
            if sock:
                sock.settimeout(left)
            piece = stream.read(PIECE)
            limit -= len(piece)
            is_done = not piece
    if sock:
        sock.settimeout(before)
        if not is_done and not isinstance(sock, ssl.SSLSocket):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RD)
    return is_done


class ClientSocket:
    """The socket of a client, which gunicorn exposes: a `ClientConnection`."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def fileno(self) -> int:
        return self._socket.fileno()

    def is_gone(self) -> bool:
        """Return whether the client has closed the connection, without reading from it."""
        poll = new_poll()
        poll.register(self._socket, select.POLLIN)
        if not poll.poll(0):
            return False
        try:
            return self._socket.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            return True


def shut_down(sock: socket.socket) -> None:
    """End a connection on which another thread or greenlet may be writing."""
    # By a copy: an encrypted socket would forget its encryption and let that thread write plain text, gevent would say that it was closed.
    with suppress(OSError), socket.fromfd(sock.fileno(), sock.family, sock.type) as copy:
        copy.shutdown(socket.SHUT_RDWR)
