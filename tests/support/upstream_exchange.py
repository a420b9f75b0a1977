"""One request to the mock upstream and the answer that a scenario writes to it: HTTP/1.1 by hand, so that it can be written wrongly."""

import asyncio
import json
import re
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import Any

HeaderPairs = tuple[tuple[str, str], ...]

JSON = "application/json"
SSE = "text/event-stream; charset=utf-8"


@dataclass(frozen=True)
class Received:
    """A request as it came; header names in lower case."""

    method: str
    path: str
    headers: HeaderPairs
    raw: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    @cached_property
    def json(self) -> dict[str, Any]:
        body = json.loads(self.raw or b"{}")
        assert isinstance(body, dict)
        return body

    @property
    def model(self) -> str:
        return str(self.json.get("model", ""))


async def read_request(reader: asyncio.StreamReader) -> Received | None:
    """Return the next request of a connection, or None at its end, be it in the middle of a request."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").strip().split("\r\n")
        method, path, _ = first.split(" ")
        headers = tuple((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
        length = next((int(value) for name, value in headers if name == "content-length"), 0)
        return Received(method, path, headers, await reader.readexactly(length))
    except asyncio.IncompleteReadError:
        return None


class RequestContext:
    """What a scenario works with.

    Args:
        request: what was asked.
        writer: the connection.
        release: set by the test when a waiting scenario may go on.
        attempt: how many requests for this model there were before.
    """

    def __init__(self, request: Received, writer: asyncio.StreamWriter, release: asyncio.Event, attempt: int) -> None:
        self.request = request
        self.body = request.json
        self.stream = self.body.get("stream") is True
        self.attempt = attempt
        self.pieces_sent = 0
        self._writer = writer
        self._release = release

    def number(self, default: int) -> int:
        """Return the number at the end of the model's name, as 5 in `stall-5`."""
        found = re.search(r"-(\d+)$", self.request.model)
        return int(found[1]) if found else default

    async def released(self) -> None:
        """Wait for `MockUpstream.release()`."""
        await self._release.wait()

    async def send(self, data: bytes) -> None:
        """Send `data` as it is."""
        self._writer.write(data)
        await self._writer.drain()

    async def head(self, status: int, *headers: tuple[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} {_phrase(status)}", "x-request-id: req_upstream", *(f"{name}: {value}" for name, value in headers)]
        await self.send("\r\n".join([*lines, "", ""]).encode("latin-1"))

    async def reply(self, body: bytes, *headers: tuple[str, str], status: int = 200, content_type: str = JSON) -> None:
        """Send a whole answer."""
        await self.head(status, ("content-type", content_type), ("content-length", str(len(body))), *headers)
        await self.send(body)

    async def reply_json(self, value: object, *headers: tuple[str, str], status: int = 200) -> None:
        await self.reply(json.dumps(value).encode(), *headers, status=status)

    async def start(self, *headers: tuple[str, str]) -> None:
        """Send the head of an answer whose body comes in pieces."""
        await self.head(200, ("content-type", SSE if self.stream else JSON), ("transfer-encoding", "chunked"), *headers)

    async def piece(self, data: bytes) -> None:
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))
        self.pieces_sent += 1

    async def pieces(self, pieces: Iterable[bytes]) -> None:
        for data in pieces:
            await self.piece(data)

    async def end(self) -> None:
        """End a body that came in pieces, as HTTP wants it."""
        await self.send(b"0\r\n\r\n")

    def cut(self) -> None:
        """Close the connection here, with FIN."""
        self._writer.close()

    def reset(self) -> None:
        """Close the connection here, with RST."""
        connection: socket.socket = self._writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Unknown"
