"""Whatever an upstream sends over HTTP/1.1, the transport `httpx2` makes the whole answer of it, or a failure."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from completions_mw.errors import UpstreamError
from tests.backends.http import test_call, test_call_refusals
from tests.backends.http.sides import HTTPX2, Side, asking
from tests.support.threaded_server import PATIENCE
from tests.support.tls import read_request
from tests.support.upstream_call import COMPLETE, WAITING

FAILURES = {"upstream_protocol_error", "upstream_disconnected"}
every_kind = pytest.mark.parametrize("on", [HTTPX2["httpx2-blocking"], HTTPX2["httpx2-asyncio"]], ids=["blocking", "asyncio"])
WHOLE = {name: (stream, expected.body) for name, (stream, expected) in test_call.ROWS.items() if expected.end == COMPLETE}
BROKEN = {name: stream for name, (stream, expected) in test_call_refusals.ROWS.items() if expected.end not in (COMPLETE, WAITING)}
BROKEN |= {name: stream for name, (stream, clean, _) in test_call.ENDS.items() if clean.end != COMPLETE}
STRICT = {"chunk size with zeros", "line ends"}
"""Answers that h11 takes for none."""
LENIENT = {
    *("bare LF", "bare LF in a header", "folded header", "status line b'HTTP/1.2 200 OK'", "length b'2,2'", "length b'2, 2'"),
    *("both framings", "both framings, other order", "the same length twice", "chunk size b'2 '", "length in a trailer"),
}
"""Answers to h11 alone. What could be read in two ways could hurt the next call on the connection, and there is none."""


@dataclass
class Answerer:
    """Answers each request with the same bytes, and ends the connection."""

    listener: socket.socket
    stream: bytes = b""
    requests: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}/v1"

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.settimeout(PATIENCE)
            with connection:
                try:
                    self.requests.append(read_request(connection))
                    connection.sendall(self.stream)
                    connection.shutdown(socket.SHUT_WR)
                    # Else what is not read would reset the connection.
                    while connection.recv(65536):
                        pass
                except OSError:
                    pass


@pytest.fixture(scope="module")
def upstream() -> Iterator[Answerer]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answerer = Answerer(listener)
        thread = threading.Thread(target=answerer.serve)
        thread.start()
        yield answerer
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def answered(on: Side, upstream: Answerer, stream: bytes) -> bytes | None:
    """Return the answer that is made of a stream; None for a failure."""
    upstream.stream = stream
    upstream.requests.clear()
    try:
        [body] = on(asking(upstream.url))
    except UpstreamError as failure:
        if failure.code not in FAILURES:
            raise
        return None
    finally:
        assert len(upstream.requests) == 1
    return body


@every_kind
@pytest.mark.parametrize("name", WHOLE)
def test_an_answer(upstream: Answerer, on: Side, name: str) -> None:
    stream, body = WHOLE[name]
    assert answered(on, upstream, stream) == (None if name in STRICT else body)


@every_kind
@pytest.mark.parametrize("name", BROKEN)
def test_no_answer(upstream: Answerer, on: Side, name: str) -> None:
    assert answered(on, upstream, BROKEN[name]) == (b"hi" if name in LENIENT else None)
