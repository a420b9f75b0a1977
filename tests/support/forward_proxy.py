"""An HTTP proxy that wants a password, on a port of 127.0.0.1 for the time of a `with` block."""

import socket
import threading
from contextlib import ExitStack, suppress
from typing import Self
from urllib.parse import urlsplit

from tests.support.tls import PATIENCE, read_head

REFUSED = b"HTTP/1.1 407 Proxy Authentication Required\r\nx-hint: the password is canary-of-the-proxy\r\ncontent-length: 0\r\n\r\n"


class ForwardProxy:
    """Tunnels by CONNECT, and forwards requests for `http:` as they are.

    Args:
        authorization: value of the header `proxy-authorization` that it wants.
    """

    def __init__(self, authorization: str) -> None:
        self.port = 0
        self.requests: list[bytes] = []
        """First lines of all requests, refused ones too."""
        self._authorization = authorization.encode()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._listener = self._stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._stack:
            self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                client.settimeout(PATIENCE)
                self._threads.append(threading.Thread(target=self._serve, args=(client,)))
                self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            head, rest = read_head(client)
            first = head.partition(b"\r\n")[0]
            self.requests.append(first)
            if b"\r\nproxy-authorization: " + self._authorization + b"\r\n" not in head.replace(
                b"Proxy-Authorization", b"proxy-authorization"
            ):
                return client.sendall(REFUSED)
            method, target, _ = first.decode().split(" ")
            where = urlsplit(target if method == "POST" else f"//{target}")
            with socket.create_connection((where.hostname or "", where.port or 0)) as server:
                if method == "CONNECT":
                    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                else:
                    server.sendall(head.replace(target.encode(), where.path.encode(), 1) + rest)
                back = threading.Thread(target=copy, args=(server, client))
                back.start()
                copy(client, server)
                back.join()


def copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
