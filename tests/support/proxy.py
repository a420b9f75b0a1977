"""A TCP proxy that breaks connections: between us and an upstream, a store, or a client.

The request passes untouched; a mode says what happens to the answer. So `Cut(0)` is the fault that a store has done its work
and nobody hears of it. A mode may be changed while connections are open, and counts the bytes of each connection's answers.
"""

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass

from tests.support.loop_thread import LoopThread, stop_listening


@dataclass(frozen=True, slots=True)
class Grant:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Hold every piece for some seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Drip:
    """Pass a few bytes at a time."""

    seconds: float = 0.1
    size: int = 1


@dataclass(frozen=True, slots=True)
class Cut:
    """Close after so many bytes."""

    after: int = 0


@dataclass(frozen=True, slots=True)
class Reset:
    """Close with RST after so many bytes."""

    after: int = 0


@dataclass(frozen=True, slots=True)
class Corrupt:
    """Turn one byte around."""

    at: int


@dataclass(frozen=True, slots=True)
class Stall:
    """Pass nothing after so many bytes, until the mode is changed."""

    after: int = 0


@dataclass(frozen=True, slots=True)
class Refuse:
    """Refuse connections; those that are open go on."""


@dataclass(frozen=True, slots=True)
class Blackhole:
    """Leave connections unanswered: nobody accepts, and the backlog is full."""


Mode = Grant | Delay | Drip | Cut | Reset | Corrupt | Stall | Refuse | Blackhole


class FaultProxy(LoopThread):
    """Listens on a free port of 127.0.0.1 for the time of a `with` block, in front of `target_host`:`target_port`."""

    def __init__(self, target_host: str, target_port: int, mode: Mode | None = None) -> None:
        super().__init__()
        self.port = 0
        self._target = target_host, target_port
        self._mode: Mode = mode or Grant()
        self._mode_changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._held: list[socket.socket] = []
        self._writers: set[asyncio.StreamWriter] = set()

    def use(self, mode: Mode) -> None:
        """Change the mode, for open connections too; done when this returns."""
        self.run(self._use(mode))

    def drop(self) -> None:
        """Close every open connection, as a server does that restarts; done when this returns."""
        self.run(self._drop())

    async def open(self) -> None:
        await self._use(self._mode)

    async def close(self) -> None:
        await self._stop_listening()

    async def _use(self, mode: Mode) -> None:
        self._mode = mode
        self._mode_changed.set()
        self._mode_changed = asyncio.Event()
        if isinstance(mode, Refuse | Blackhole) or self._server is None:
            await self._stop_listening()
            await self._listen(mode)

    async def _listen(self, mode: Mode) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        if isinstance(mode, Refuse):
            # Bound and not listening: connections are refused and nobody else can take the port.
            self._held = [listener]
        elif isinstance(mode, Blackhole):
            listener.listen(0)
            # A backlog of 0 holds one connection; the next one's SYN is dropped.
            self._held = [listener, socket.create_connection(("127.0.0.1", self.port))]
        else:
            self._server = await asyncio.start_server(self._accept, sock=listener, backlog=1024)

    async def _stop_listening(self) -> None:
        if self._server is not None:
            await stop_listening(self._server)
            self._server = None
        for held in self._held:
            held.close()
        self._held = []

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.handle(self._connect, reader, writer)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target_reader, target_writer = await asyncio.open_connection(*self._target)
        self._writers |= {writer, target_writer}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_forward(reader, target_writer))
                group.create_task(self._answer(target_reader, writer))
        except* ConnectionError:
            # Who resets one side resets the other; a cut side is closing by now.
            if not writer.is_closing():
                _reset(writer)
        finally:
            self._writers -= {writer, target_writer}
            target_writer.close()
            with contextlib.suppress(ConnectionError):
                await target_writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passed = 0
        while data := await reader.read(64 * 1024):
            for piece in self._cut_up(data, passed):
                await self._pass(piece, passed, writer)
                passed += len(piece)
        _end(writer)

    async def _pass(self, piece: bytes, passed: int, writer: asyncio.StreamWriter) -> None:
        match self._mode:
            case Delay(seconds) | Drip(seconds):
                await asyncio.sleep(seconds)
            case Cut(after) if passed >= after:
                writer.close()
                raise ConnectionError
            case Reset(after) if passed >= after:
                _reset(writer)
                raise ConnectionError
            case Stall(after) if passed >= after:
                await self._mode_changed.wait()
                return await self._pass(piece, passed, writer)
            case Corrupt(at) if passed == at:
                piece = bytes([piece[0] ^ 0xFF]) + piece[1:]
        writer.write(piece)
        await writer.drain()

    def _cut_up(self, data: bytes, passed: int) -> list[bytes]:
        """Cut `data` where the mode's fault is, so that what comes before it still passes."""
        match self._mode:
            case Drip(size=size):
                return [data[start : start + size] for start in range(0, len(data), size)]
            case Cut(edge) | Reset(edge) | Stall(edge) | Corrupt(edge) if passed < edge < passed + len(data):
                return [data[: edge - passed], data[edge - passed :]]
            case _:
                return [data]

    async def _drop(self) -> None:
        for writer in self._writers:
            writer.close()


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(64 * 1024):
        writer.write(data)
        await writer.drain()
    _end(writer)


def _end(writer: asyncio.StreamWriter) -> None:
    # Who has reset its side is not connected any more, which asyncio does not call a ConnectionError.
    with contextlib.suppress(OSError):
        writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
