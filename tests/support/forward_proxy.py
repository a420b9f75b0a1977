"""An HTTP proxy that wants a password, on a port of 127.0.0.1 for the time of a `with` block."""

import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit

from tests.support.threaded_server import ThreadedServer
from tests.support.tls import read_head

REFUSED = b"HTTP/1.1 407 Proxy Authentication Required\r\nx-hint: the password is canary-of-the-proxy\r\ncontent-length: 0\r\n\r\n"


class ForwardProxy(ThreadedServer):
    """Tunnels by CONNECT, and forwards requests for `http:` as they are.

    Args:
        authorization: value of the header `proxy-authorization` that it wants.
    """

    def __init__(self, authorization: str) -> None:
        super().__init__()
        self.requests: list[bytes] = []
        """First lines of all requests, refused ones too."""
        self._authorization = authorization.encode()

    def serve_connection(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            head, rest = read_head(connection)
            first = head.partition(b"\r\n")[0]
            self.requests.append(first)
            if b"\r\nproxy-authorization: " + self._authorization + b"\r\n" not in head.replace(
                b"Proxy-Authorization", b"proxy-authorization"
            ):
                return connection.sendall(REFUSED)
            method, target, _ = first.decode().split(" ")
            where = urlsplit(target if method == "POST" else f"//{target}")
            with socket.create_connection((where.hostname or "", where.port or 0)) as server:
                if method == "CONNECT":
                    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                else:
                    server.sendall(head.replace(target.encode(), where.path.encode(), 1) + rest)
                back = threading.Thread(target=copy, args=(server, connection))
                back.start()
                copy(connection, server)
                back.join()


def copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
