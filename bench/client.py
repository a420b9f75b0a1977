"""A client connection of the load generator: sends, reads the answer to its end, checks it, sends again."""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, cast

from bench import wire
from bench.cells import Mode

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_OK: Final = b"HTTP/1.1 200"
_LAST_CHUNK: Final = b"\r\n0\r\n\r\n"


@dataclass(slots=True)
class Load:
    """A number of requests that connections share, and what became of them."""

    mode: Mode
    request: bytes
    mark: bytes
    left: int
    deadline: float
    latencies: list[float] = field(default_factory=list)
    first_bytes: list[float] = field(default_factory=list)
    errors: int = 0
    first_error: str = ""

    def take(self) -> bool:
        """Return whether there is one more request to send, and count it."""
        if self.left <= 0 or time.perf_counter() > self.deadline:
            return False
        self.left -= 1
        return True

    def fail(self, why: str) -> None:
        """Count a request without a good answer."""
        self.errors += 1
        self.first_error = self.first_error or why


class Client(asyncio.Protocol):
    """One keep-alive connection, used for one load after the other.

    Args:
        on_idle: called when there is nothing left to send or the connection is lost.
    """

    def __init__(self, on_idle: Callable[["Client"], None]) -> None:
        self._on_idle = on_idle
        self._load: Load | None = None
        self._pieces: list[bytes] = []
        self._tail = b""
        self._started = 0.0
        self._first_byte = 0.0
        self.is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of it.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        if self._load is not None:
            self._load.fail(f"connection lost: {exc or 'closed by the server'}")
            self._stop()

    def work(self, load: Load) -> None:
        """Send requests of `load`, one after the other, until there are none."""
        self._load = load
        self._next()

    def close(self) -> None:
        """Close the connection."""
        self._load = None
        self._transport.close()

    def give_up(self, why: str) -> None:
        """Close the connection and count what it waits for as an error."""
        if self._load is not None:
            self._load.fail(why)
        self.close()

    def data_received(self, data: bytes) -> None:
        if self._load is None:
            return
        if not self._first_byte and (self._pieces or not data.endswith(b"\r\n\r\n")):
            self._first_byte = time.perf_counter()
        self._pieces.append(data)
        # A stream is looked at as a whole once, at its end: reading it again for each piece would slow the others down.
        self._tail = (self._tail + data)[-len(_LAST_CHUNK) :]
        if self._load.mode == "json" or self._tail == _LAST_CHUNK or not self._pieces[0].startswith(_OK):
            self._look()

    def _look(self) -> None:
        assert self._load is not None
        answer = b"".join(self._pieces)
        head, separator, body = answer.partition(b"\r\n\r\n")
        if not separator or not _is_whole(head, body):
            return
        now = time.perf_counter()
        fault = _fault(self._load, head, body)
        if fault:
            self._load.fail(fault)
        else:
            self._load.latencies.append(now - self._started)
            self._load.first_bytes.append(self._first_byte - self._started)
        self._next()

    def _next(self) -> None:
        assert self._load is not None
        self._pieces, self._tail, self._first_byte = [], b"", 0.0
        if self.is_lost or not self._load.take():
            self._stop()
            return
        self._started = time.perf_counter()
        self._transport.write(self._load.request)

    def _stop(self) -> None:
        self._load = None
        self._on_idle(self)


def _is_whole(head: bytes, body: bytes) -> bool:
    length = _LENGTH.search(head)
    if length:
        return len(body) >= int(length[1])
    return _CHUNKED.search(head) is not None and body.endswith(_LAST_CHUNK)


def _fault(load: Load, head: bytes, body: bytes) -> str:
    if not head.startswith(_OK):
        return f"{head[:40].decode(errors='replace').splitlines()[0]}: {body[:200].decode(errors='replace')}"
    if load.mark not in head.lower():
        return f"no {load.mark.decode()!r} in the head"
    if load.mode == "json":
        return "" if wire.JSON_MARK in body else "another answer than the upstream's"
    chunks = body.count(wire.CHUNK_MARK)
    if chunks != wire.CHUNKS:
        return f"{chunks} chunks instead of {wire.CHUNKS}"
    return "" if wire.DONE_MARK in body else "no [DONE]"
