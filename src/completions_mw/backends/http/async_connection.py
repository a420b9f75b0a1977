"""Connections of event loops: asyncio's, and uvloop's."""

import asyncio
import socket
import ssl
from typing import Final, cast

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.http.call import UpstreamCall
from completions_mw.backends.http.call_connection import JOINED_BYTES
from completions_mw.backends.http.failures import timed_out
from completions_mw.backends.http.sockets import is_silent
from completions_mw.http import ClientConnection

MAX_BUFFERED: Final = 256 * 1024
"""Bytes that wait for their reader before the upstream has to."""


class AsyncHttpConnection(asyncio.Protocol):
    """A connection of an event loop.

    Args:
        loop: running event loop.
        sock: connected; belongs to the loop's transport once there is one. None where a subclass has no transport of the loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket | None) -> None:
        self._loop = loop
        self._socket = sock
        self._transport: asyncio.Transport | None = None
        self._call: UpstreamCall | None = None
        self._waiter: asyncio.Future[bool] | None = None
        self._until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        # Kept here, since uvloop's handle of a call that is due at once does not tell it.
        self._rings_at = 0.0
        self._is_paused = False
        self._is_writable = True
        self._is_lost = False

    # What follows is called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are of no class of asyncio.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        call = self._call
        if call is None:
            # Nobody has asked for it.
            return self.close()
        try:
            call.receive(data, SYSTEM_CLOCK.monotonic())
        except Exception as error:
            # The event loop would log it, and the call would wait for its deadline.
            call.failure = error
        if call.buffered > MAX_BUFFERED and not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake(True)

    def eof_received(self) -> None:
        self._lose(is_clean=self._is_ended_by_upstream())

    def connection_lost(self, exc: Exception | None) -> None:
        # What has ended well was said to have before.
        self._lose(is_clean=False)

    def pause_writing(self) -> None:
        self._is_writable = False

    def resume_writing(self) -> None:
        self._is_writable = True
        self._wake(True)

    # What follows is called by the transport and its bodies.

    def is_usable(self) -> bool:
        if self._is_lost or self._transport is None or self._transport.is_closing():
            return False
        if self._socket is None or self._socket.fileno() < 0:
            return False
        # The loop may not have looked yet.
        return is_silent(self._socket)

    async def send(self, call: UpstreamCall, head: bytes, body: bytes) -> None:
        assert self._transport is not None
        self._call = call
        if self._is_lost:
            return call.receive_end(is_clean=False)
        if len(body) <= JOINED_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)
        until = SYSTEM_CLOCK.monotonic() + call.timeouts.first_byte
        while not (self._is_writable or call.has_head or call.failure is not None):
            if not await self.wait(until, None):
                raise timed_out()
        call.sent(SYSTEM_CLOCK.monotonic())

    async def wait(self, until: float, client: ClientConnection | None) -> bool:
        call = self._call
        if self._is_lost or (call is not None and (call.buffered or call.is_complete or call.failure is not None)):
            return True
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()
        self._until = until
        if self._timer is None:
            self._arm()
        elif self._rings_at > until:
            self._timer.cancel()
            self._arm()
        self._waiter = self._loop.create_future()
        try:
            return await self._waiter
        finally:
            self._waiter = None

    def end_call(self) -> None:
        self._call = None

    def close(self) -> None:
        self._lose(is_clean=False)
        if self._transport is not None:
            self._transport.abort()

    def drop(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.close)

    def _is_ended_by_upstream(self) -> bool:
        """Return whether the end of the stream is the upstream's: with TLS, anybody on the way can end it too (RFC 8446, section 6.1)."""
        tls = None if self._transport is None else self._transport.get_extra_info("ssl_object")
        try:
            # asyncio reads on to the end in both cases: only where TLS has ended too, there is nothing to wait for.
            return tls is None or not tls.read(1)
        except ssl.SSLError:
            return False

    def _arm(self) -> None:
        """Let the timer ring no later than the wait ends; one that rings too early is cheaper than one for each wait."""
        self._rings_at = self._until
        self._timer = self._loop.call_later(max(0.0, self._until - SYSTEM_CLOCK.monotonic()), self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._waiter is None:
            return
        if SYSTEM_CLOCK.monotonic() < self._until:
            self._arm()
        else:
            self._wake(False)

    def _wake(self, has_news: bool) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(has_news)

    def _lose(self, *, is_clean: bool) -> None:
        self._is_lost = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._call is not None:
            self._call.receive_end(is_clean=is_clean)
        self._wake(True)
