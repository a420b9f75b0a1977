"""A server on a free port of 127.0.0.1 for the time of a `with` block: a thread for each connection."""

import socket
import threading
from abc import ABC, abstractmethod
from contextlib import ExitStack, suppress
from typing import Final, Self

PATIENCE: Final = 20.0
"""Seconds that a machine which has much to do may need."""


class ThreadedServer(ABC):
    """Serves each connection in a thread."""

    def __init__(self) -> None:
        self.port = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._listener = self._stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._stack:
            # Ends `accept`, which closing alone does not.
            self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    @abstractmethod
    def serve_connection(self, connection: socket.socket) -> None:
        """Serve one connection, and close it."""

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.settimeout(PATIENCE)
                self._threads.append(threading.Thread(target=self.serve_connection, args=(connection,)))
                self._threads[-1].start()
