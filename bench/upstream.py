"""The mock upstream: prebuilt answers from a raw protocol, so that it is never what is measured.

Run as `python -m bench.upstream PORT [CERTIFICATE]`. It serves every path; with a certificate, and its key in the same file, over TLS.
"""

import asyncio
import re
import ssl
import sys
from collections.abc import Sequence
from typing import Final, cast

from bench import loop, wire

_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_STREAM: Final = re.compile(rb'"stream": ?true')
_USAGE: Final = re.compile(rb'"include_usage": ?true')
_PAUSE: Final = re.compile(rb'"seed": ?(\d+)')


def _answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def _frames(*, usage: bool) -> Sequence[bytes]:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    frames = [b"%x\r\n%b\r\n" % (len(event), event) for event in wire.stream_events(usage=usage)]
    frames[0] = head + frames[0]
    # As servers do: what ends the answer is not worth a packet of its own.
    return [*frames[:-1], frames[-1] + b"0\r\n\r\n"]


_JSON: Final = _answer(wire.json_answer())
_FRAMES: Final = {usage: _frames(usage=usage) for usage in (False, True)}


class Upstream(asyncio.Protocol):
    """One connection: a request at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._timer: asyncio.Handle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of it.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator or not _is_whole(head, body):
            return
        self._buffer = b""
        if _STREAM.search(body) is None:
            self._transport.write(_JSON)
            return
        pause = _PAUSE.search(body)
        self._send(_FRAMES[_USAGE.search(body) is not None], 0, int(pause[1]) / 1e6 if pause else 0.0)

    def _send(self, frames: Sequence[bytes], at: int, pause: float) -> None:
        self._transport.write(frames[at])
        if at + 1 == len(frames):
            return
        # Never two writes in one turn of the loop: uvloop would join them into one packet.
        if pause and at + 2 < len(frames):
            self._timer = self._loop.call_later(pause, self._send, frames, at + 1, pause)
        else:
            self._timer = self._loop.call_soon(self._send, frames, at + 1, pause)


def _is_whole(head: bytes, body: bytes) -> bool:
    length = _LENGTH.search(head)
    return len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n")


async def serve(port: int, certificate: str | None = None) -> None:
    context: ssl.SSLContext | None = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port, backlog=1024, ssl=context)
    await server.serve_forever()


if __name__ == "__main__":
    loop.run(serve(int(sys.argv[1]), *sys.argv[2:]))
