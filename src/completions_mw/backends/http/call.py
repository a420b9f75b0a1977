"""One call to an upstream: its deadlines, its bounds, and how far its answer has been read."""

import re
from contextvars import ContextVar

import httpcore2

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.http import UpstreamRequest

MAX_HEAD_BYTES = 64 * 1024
"""Bound on a response head together with all informational responses before it, so that a flood of `100 Continue` ends."""

_NO_CHUNK = re.compile(rb"(?:\r\n|\r)?(?:[0-9A-Fa-f]+(?:\r\n|\r)?)?")
"""What may follow a chunk without a byte of the next chunk's data: the chunk's end, the next chunk's size (RFC 9112, section 7.1)."""

_NEXT_CHUNK = re.compile(rb"(?:\r\n)?0*[1-9A-Fa-f][0-9A-Fa-f]*\r\n[\x00-\xff]")
"""The size of a further chunk, and at least one byte of its data."""


class UpstreamCall:
    """The state of one call to an upstream, kept up to date by the connection that serves it.

    Args:
        request: what is sent, with its timeouts and the client's connection.
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

    def sent(self) -> None:
        """Note that a part of the request has left."""
        self.read_by = SYSTEM_CLOCK.monotonic() + self.timeouts.first_byte

    def received(self, data: bytes) -> None:
        """Note what the network gave.

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
        """Note that the response head is complete; what follows it in the same batch is body."""
        self.in_head = False
        self.has_length = has_length
        self.offset = self.batch.find(b"\r\n\r\n") + 4
        self.read_by = SYSTEM_CLOCK.monotonic() + self.timeouts.between_events

    def consumed(self, chunk: bytes) -> None:
        """Note that the parser gave `chunk`, which is a part of the batch."""
        at = self.batch.find(chunk, self.offset)
        self.offset = at + len(chunk) if at >= 0 else 0

    def is_drained(self) -> bool:
        """Tell whether the parser surely holds no further chunk, so that the next one must come from the network.

        False of a body with a length: its end needs no further byte, so a wait for one would be in vain.
        """
        if self.has_length:
            return False
        rest = len(self.batch) - self.offset
        # Nearly always only the end of the chunk follows.
        return rest == 0 or (rest == 2 and self.batch.endswith(b"\r\n")) or _NO_CHUNK.fullmatch(self.batch, self.offset) is not None

    def has_next(self) -> bool:
        """Tell whether the parser surely holds a further chunk, so that the next one comes without waiting."""
        return not self.has_length and _NEXT_CHUNK.match(self.batch, self.offset) is not None

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
