"""A server that accepts connections, and neither reads nor writes: for handshakes that hang, and bodies that nobody takes."""

import asyncio
import socket
from collections import deque
from contextlib import suppress

from tests.support.loop_thread import LoopThread

HELD = 64
"""Connections at the same time: older ones are closed, since the end of one that is not read cannot be seen."""


class SilentServer(LoopThread):
    """Listens on a free port of 127.0.0.1 for the time of a `with` block."""

    def __init__(self) -> None:
        super().__init__()
        self.port = 0
        self.begun = 0
        """Connections on which something had come when they were closed here."""
        self._held: deque[socket.socket] = deque()

    async def open(self) -> None:
        self._listener = socket.socket()
        # Little fits into the network.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(1024)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._accepting = asyncio.create_task(self._accept())

    async def close(self) -> None:
        self._accepting.cancel()
        await asyncio.wait([self._accepting])
        self._listener.close()
        await self.forget()

    async def forget(self) -> None:
        """Close every connection."""
        while self._held:
            self._drop()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(self._listener)
            self._held.append(connection)
            if len(self._held) > HELD:
                self._drop()

    def _drop(self) -> None:
        connection = self._held.popleft()
        # Else nothing has come, or the client has reset it.
        with suppress(OSError):
            self.begun += bool(connection.recv(1, socket.MSG_PEEK))
        connection.close()
