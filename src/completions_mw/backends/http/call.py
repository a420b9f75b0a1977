"""Calls to upstreams: their deadlines and bounds, kept on the connections that serve them.

httpcore2 puts one timeout on each single read. A call needs more: a deadline for the whole head, one for silence, one for the whole call;
a bound on the head's bytes; a way to wait for data that can be given up without losing the connection; and, where the server shows the
client's socket, a read that ends when the client leaves. All of this fits around the network stream, which is httpcore2's public seam.
"""

import re
from abc import ABC, abstractmethod
from contextvars import ContextVar
from typing import Final

import httpcore2

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.http import UpstreamRequest

MAX_HEAD_BYTES: Final = 64 * 1024
"""Bytes of a response head at most, with all informational responses before it, so that a flood of `100 Continue` ends."""
READ_BYTES: Final = 64 * 1024
"""Bytes of a read ahead of httpcore2 at most."""

_NO_CHUNK: Final = re.compile(rb"(?:\r\n|\r)?(?:[0-9A-Fa-f]+(?:\r\n|\r)?)?")
"""Bytes after a chunk without data of the next chunk: the chunk's end, the next chunk's size (RFC 9112, section 7.1)."""

_NEXT_CHUNK: Final = re.compile(rb"(?:\r\n)?0*[1-9A-Fa-f][0-9A-Fa-f]*\r\n[\x00-\xff]")
"""The size of a further chunk, and at least one byte of its data (RFC 9112, section 7.1)."""


class UpstreamCall:
    """The state of one call to an upstream, kept up to date by the connection that serves the call.

    Args:
        request: the request that is sent, with its time-outs and the connection of the client.
    """

    __slots__ = ("batch", "connection", "deadline", "has_length", "head_bytes", "in_head", "offset", "read_by", "timeouts")

    def __init__(self, request: UpstreamRequest) -> None:
        self.timeouts = request.timeouts
        self.connection = request.connection
        self.deadline = SYSTEM_CLOCK.monotonic() + self.timeouts.total
        self.read_by = self.deadline
        self.in_head = True
        self.has_length = False
        self.head_bytes = 0
        self.batch = b""
        self.offset = 0

    def received(self, data: bytes) -> None:
        """Note that the network gave `data`.

        Raises:
            httpcore2.RemoteProtocolError: the response head is too large.
        """
        self.batch, self.offset = data, 0
        if not self.in_head:
            self.read_by = SYSTEM_CLOCK.monotonic() + self.timeouts.between_events
            return
        self.head_bytes += len(data)
        if self.head_bytes > MAX_HEAD_BYTES:
            raise httpcore2.RemoteProtocolError("the head of the answer is too large")

    def head_ended(self, *, has_length: bool) -> None:
        """Note that the response head is complete; what follows the head in the same batch is body."""
        self.in_head = False
        self.has_length = has_length
        self.offset = self.batch.find(b"\r\n\r\n") + 4
        self.read_by = SYSTEM_CLOCK.monotonic() + self.timeouts.between_events

    def consumed(self, chunk: bytes) -> bool:
        """Note that the parser gave `chunk`, which is a part of the batch.

        Returns:
            Whether the parser surely holds a further chunk, so that the next one comes without waiting.
        """
        at = self.batch.find(chunk, self.offset)
        self.offset = at + len(chunk) if at >= 0 else 0
        return not self.has_length and _NEXT_CHUNK.match(self.batch, self.offset) is not None

    def is_drained(self) -> bool:
        """Tell whether the parser surely holds no further chunk, so that the next chunk must come from the network.

        False for a body with a length: its end needs no further byte, so a wait for one would be in vain.
        """
        if self.has_length:
            return False
        rest = len(self.batch) - self.offset
        # Nearly always only the end of the chunk follows.
        return rest == 0 or (rest == 2 and self.batch.endswith(b"\r\n")) or _NO_CHUNK.fullmatch(self.batch, self.offset) is not None

    def time_left(self) -> float:
        """Return the seconds until the nearest deadline.

        Raises:
            httpcore2.ReadTimeout: a deadline has passed.
        """
        left = min(self.read_by, self.deadline) - SYSTEM_CLOCK.monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout
        return left


current_call: ContextVar[UpstreamCall] = ContextVar("current_call")
"""The call whose request is being sent: the connection that sends it serves that call until it sends another request."""


class DeadlineStream(ABC):
    """A connection that is read and written under the deadlines of the call that it serves at the moment."""

    def __init__(self) -> None:
        self._ahead: bytes | None = None

    @abstractmethod
    async def receive(self, max_bytes: int, timeout: float) -> bytes:
        """Read from the network, in `timeout` seconds; raises errors of httpcore2."""

    @abstractmethod
    async def send(self, buffer: bytes, timeout: float) -> None:
        """Write to the network, in `timeout` seconds; raises errors of httpcore2."""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write for the current call, and serve that call from now on. httpcore2's `timeout` is not used."""
        if buffer:
            self._call = call = current_call.get()
            await self.send(buffer, call.timeouts.first_byte)
            call.read_by = SYSTEM_CLOCK.monotonic() + call.timeouts.first_byte

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read for the call that the connection serves. httpcore2's `timeout` is not used.

        Raises:
            httpcore2.ReadTimeout: a deadline of the call passed.
            httpcore2.RemoteProtocolError: the response head is too large.
        """
        call = self._call
        data, self._ahead = self._ahead, None
        if data is None:
            data = await self.receive(max_bytes, call.time_left())
        call.received(data)
        return data

    async def wait(self, seconds: float) -> bool:
        """Wait until there is something to read; return False if nothing came for `seconds`.

        What is read meanwhile is given to the next `read`.

        Raises:
            httpcore2.ReadTimeout: a deadline of the call passed.
        """
        if self._ahead is not None:
            return True
        left = self._call.time_left()
        try:
            self._ahead = await self.receive(READ_BYTES, min(seconds, left))
        except httpcore2.ReadTimeout:
            if left <= seconds:
                raise
            return False
        return True
