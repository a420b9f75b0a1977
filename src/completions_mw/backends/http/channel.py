"""Deadlines, bounds and silence on the connections to upstreams.

httpcore2 puts one timeout on each single read. A call needs more: a deadline for the whole head, one for silence, one for everything;
a bound on the head's bytes; a way to wait for data that can be given up without losing the connection; and, where the server shows the
client's socket, an eye on the client. All of it fits around the network stream, which is httpcore2's public seam.
"""

from typing import Protocol

import httpcore2

from completions_mw.backends.http.call import current_call

READ_BYTES = 64 * 1024


class Stream(Protocol):
    """A connection's bytes, with httpcore2's errors."""

    async def read(self, max_bytes: int, timeout: float) -> bytes: ...
    async def write(self, buffer: bytes, timeout: float) -> None: ...


class DeadlineStream:
    """Reads and writes for the call that the connection serves at the moment."""

    __slots__ = ("_ahead", "_call", "_line")

    def __init__(self, line: Stream) -> None:
        self._line = line
        self._ahead: bytes | None = None

    async def write(self, buffer: bytes) -> None:
        self._call = call = current_call.get()
        await self._line.write(buffer, call.timeouts.first_byte)
        call.sent()

    async def read(self, max_bytes: int) -> bytes:
        data, self._ahead = self._ahead, None
        if data is None:
            data = await self._line.read(max_bytes, self._call.time_left())
        self._call.received(data)
        return data

    async def wait(self, seconds: float) -> bool:
        """Wait until there is something to read; False if nothing came for `seconds`. Loses nothing."""
        if self._ahead is not None:
            return True
        left = self._call.time_left()
        try:
            self._ahead = await self._line.read(READ_BYTES, min(seconds, left))
        except httpcore2.ReadTimeout:
            if left <= seconds:
                raise
            return False
        return True
