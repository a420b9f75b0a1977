"""An HTTP/1.1 client on a bare socket: sends what no library would, and sees every piece of the answer as it comes."""

import socket
import struct
import time
from typing import NamedTuple, Self


class Chunk(NamedTuple):
    """A chunk of a body, and when it had arrived on the monotonic clock."""

    data: bytes
    at: float


class RequestHeaders(NamedTuple):
    """The status line and the headers of an answer; names in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


class Answer(NamedTuple):
    """A whole answer."""

    head: RequestHeaders
    body: bytes
    complete: bool
    """Whether the body ended as its framing says; False if the connection was closed or reset within it."""

    @property
    def status(self) -> int:
        return self.head.status


def request(
    path: str,
    body: bytes = b"",
    *headers: tuple[str, str],
    method: str = "POST",
    host: str = "127.0.0.1",
    content_type: str = "application/json",
) -> bytes:
    """Return the bytes of an ordinary request."""
    usual = (("host", host), ("content-type", content_type), ("content-length", str(len(body))))
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in (*usual, *headers))]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class RawClient:
    """One connection. Every wait ends after `timeout` seconds with TimeoutError.

    Args:
        port: of the server.
        host: of the server.
        timeout: for each read and write.
        receive_buffer: size of the kernel's buffer, for a client that does not read.
        segment: bytes of a segment of TCP, whose number bounds what the kernel of the server takes for such a client.
    """

    def __init__(
        self, port: int, host: str = "127.0.0.1", *, timeout: float = 30, receive_buffer: int | None = None, segment: int | None = None
    ) -> None:
        self.socket = socket.socket()
        if segment is not None:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, segment)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect((host, port))
        except BaseException:
            self.socket.close()
            raise
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def exchange(self, data: bytes) -> Answer:
        """Send `data` and return the answer."""
        self.send(data)
        return self.read_answer()

    def read_head(self) -> RequestHeaders:
        """Return the head of the next answer; interim (1xx) answers are answers of their own."""
        first, *lines = self._read_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        headers = tuple((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
        return RequestHeaders(int(first.split(" ", 2)[1]), headers)

    def read_chunk(self) -> Chunk:
        """Return the next chunk of a chunked body; an empty one is the end.

        Raises:
            ConnectionError: the body was cut.
        """
        size = int(self._read_until(b"\r\n").partition(b";")[0], 16)
        data = self._read_exactly(size + 2)[:-2]
        return Chunk(data, time.monotonic())

    def read_answer(self) -> Answer:
        """Return the next answer, whole or cut."""
        head = self.read_head()
        if head.header("transfer-encoding") == "chunked":
            return Answer(head, *self._read_chunked())
        if head.status < 200 or head.status in (204, 304):
            return Answer(head, b"", complete=True)
        length = head.header("content-length")
        return Answer(head, *(self._read_to_end() if length is None else self._read_length(int(length))))

    def at_end(self) -> bool:
        """Wait for what comes next, and say whether it is the end of the connection."""
        return not self._buffer and not self._receive()

    def half_close(self) -> None:
        """Send FIN and keep reading."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        """Close with FIN."""
        self.socket.close()

    def _read_chunked(self) -> tuple[bytes, bool]:
        body: list[bytes] = []
        try:
            while chunk := self.read_chunk().data:
                body.append(chunk)
        except ConnectionError:
            return b"".join(body), False
        return b"".join(body), True

    def _read_length(self, length: int) -> tuple[bytes, bool]:
        try:
            return self._read_exactly(length), True
        except ConnectionError:
            return self._buffer, False

    def _read_to_end(self) -> tuple[bytes, bool]:
        try:
            while self._receive():
                pass
        except ConnectionError:
            return self._buffer, False
        return self._buffer, True

    def _read_until(self, end: bytes) -> bytes:
        while end not in self._buffer:
            self._receive_more()
        found, _, self._buffer = self._buffer.partition(end)
        return found

    def _read_exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._receive_more()
        found, self._buffer = self._buffer[:size], self._buffer[size:]
        return found

    def _receive_more(self) -> None:
        if not self._receive():
            raise ConnectionError("the server closed the connection")

    def _receive(self) -> bytes:
        data = self.socket.recv(256 * 1024)
        self._buffer += data
        return data
