"""Connections of threads and greenlets."""

import os
import select
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.http.call import UpstreamCall
from completions_mw.backends.http.call_connection import JOINED_BYTES
from completions_mw.backends.http.failures import timed_out
from completions_mw.backends.http.sockets import is_silent
from completions_mw.backends.polling import new_poll
from completions_mw.errors import ClientDisconnectedError
from completions_mw.http import ClientConnection

READ_BYTES: Final = 64 * 1024
WATCH_AFTER: Final = 0.02
"""Seconds of silence after which the client is watched too: two more system calls for each read would be most of what an answer costs."""


class BlockingHttpConnection:
    """A connection of threads and greenlets.

    Args:
        sock: connected; its reads and writes end after `WATCH_AFTER`.
        keep_session: is given the session of TLS when the connection closes, for the next one to the same origin.
    """

    def __init__(self, sock: socket.socket, keep_session: Callable[[ssl.SSLSession | None], None]) -> None:
        self._socket = sock
        # Not `recv`: it takes memory for as much as may come and gives back the rest, and what stays lies scattered over the heap, which
        # grew by 100 bytes for each request.
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._keep_session = keep_session
        self._process = os.getpid()
        self._call: UpstreamCall | None = None
        self._is_closed = False
        self._is_reading = False

    def is_usable(self) -> bool:
        if self._is_closed or self._process != os.getpid():
            return False
        return is_silent(self._socket)

    async def send(self, call: UpstreamCall, head: bytes, body: bytes) -> None:
        self._call = call
        until = SYSTEM_CLOCK.monotonic() + call.timeouts.first_byte
        try:
            if len(body) <= JOINED_BYTES:
                self._write(head + body, until, call.client)
            else:
                self._write(head, until, call.client)
                self._write(body, until, call.client)
        except OSError:
            # The upstream may have answered before it stopped reading.
            pass
        call.sent(SYSTEM_CLOCK.monotonic())

    async def wait(self, until: float, client: ClientConnection | None) -> bool:
        call = self._call
        assert call is not None
        self._is_reading = True
        try:
            data = self._read(until, client)
        except OSError:
            call.receive_end(is_clean=False)
        else:
            if data is None:
                return False
            if data:
                call.receive(data, SYSTEM_CLOCK.monotonic())
            else:
                call.receive_end(is_clean=not self._is_closed)
        finally:
            self._is_reading = False
            if self._is_closed:
                self._socket.close()
        return True

    def end_call(self) -> None:
        self._call = None

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        if isinstance(self._socket, ssl.SSLSocket) and not self._is_reading:
            self._keep_session(self._socket.session)
        if self._process == os.getpid():
            # Wakes a thread that reads, which closing alone does not. After a fork it would end the parent's call.
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        if not self._is_reading:
            self._socket.close()

    def drop(self) -> None:
        self.close()

    def __del__(self) -> None:
        # Of a gateway that nobody closes, as in most WSGI servers.
        self.close()

    def _write(self, data: bytes, until: float, client: ClientConnection | None) -> None:
        rest = memoryview(data)
        while True:
            with suppress(TimeoutError, BlockingIOError):
                rest = rest[self._socket.send(rest) :]
            if not rest:
                return
            # The network takes no more at once.
            if not _is_ready(self._socket, select.POLLOUT, client, until):
                raise timed_out()

    def _read(self, until: float, client: ClientConnection | None) -> bytes | None:
        """Return what arrives by the time `until`: nothing at the end of the stream, None if nothing came."""
        try:
            return self._received()
        except (TimeoutError, BlockingIOError):
            pass
        if not _is_ready(self._socket, select.POLLIN, client, until):
            return None
        with suppress(TimeoutError, BlockingIOError):
            return self._received()
        # TLS had less than a record.
        return None

    def _received(self) -> bytes:
        return self._buffer[: self._socket.recv_into(self._buffer)].tobytes()


def _is_ready(sock: socket.socket, event: int, client: ClientConnection | None, until: float) -> bool:
    """Wait until `sock` can be read, or written; False if it cannot by the time `until`.

    Raises:
        ClientDisconnectedError: the client left first.
    """
    poll = new_poll()
    poll.register(sock, event)
    watched = -1 if client is None else client.fileno()
    if watched >= 0:
        poll.register(watched, select.POLLIN)
    while True:
        left = until - SYSTEM_CLOCK.monotonic()
        if left <= 0:
            return False
        ready = {descriptor for descriptor, _ in poll.poll(left * 1000)}
        if client is not None and watched in ready:
            if client.is_gone():
                raise ClientDisconnectedError
            # Its socket stays readable, and it is not gone: it has sent its next request already, or others wait for the answer.
            poll.unregister(watched)
            watched = -1
        if sock.fileno() in ready:
            return True
