"""A connection to an upstream, read and written under the deadlines of the call that it serves.

httpcore2 puts one timeout on each single read. A call needs more: a deadline for the whole head, one for silence, one for the whole call;
a bound on the head's bytes; a way to wait for data that can be given up without losing the connection; and, where the server shows the
client's socket, a read that ends when the client leaves. All of this fits around the network stream, which is httpcore2's public seam.
"""

from typing import Protocol

import httpcore2

from completions_mw.backends.http.call import current_call

READ_BYTES = 64 * 1024
"""Size of a read ahead of httpcore2."""


class Stream(Protocol):
    """The bytes of a connection. Methods raise httpcore2's errors; `timeout` is in seconds."""

    async def read(self, max_bytes: int, timeout: float) -> bytes: ...
    async def write(self, buffer: bytes, timeout: float) -> None: ...


class DeadlineStream:
    """Reads and writes a connection under the deadlines of the call that it serves at the moment.

    Args:
        stream: the connection.
    """

    __slots__ = ("_ahead", "_call", "_stream")

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._ahead: bytes | None = None

    async def write(self, buffer: bytes) -> None:
        self._call = call = current_call.get()
        await self._stream.write(buffer, call.timeouts.first_byte)
        call.sent()

    async def read(self, max_bytes: int) -> bytes:
        data, self._ahead = self._ahead, None
        if data is None:
            data = await self._stream.read(max_bytes, self._call.time_left())
        self._call.received(data)
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
            self._ahead = await self._stream.read(READ_BYTES, min(seconds, left))
        except httpcore2.ReadTimeout:
            if left <= seconds:
                raise
            return False
        return True
