"""Answers of upstreams: any valid one, real ones, and what becomes of these when bytes of them change."""

import random

from hypothesis import strategies as st

NAMES = st.sampled_from([b"x-a", b"X-B", b"Date", b"content-type", b"retry-after", b"x", b"set-cookie"])
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_categories=["Cc"]), max_size=12).map(
    lambda text: text.strip().encode("latin-1")
)
HEADERS = st.lists(st.tuples(NAMES, st.sampled_from([b": ", b":", b":\t "]), VALUES, st.sampled_from([b"\r\n", b" \r\n"])), max_size=4).map(
    lambda headers: b"".join(part for header in headers for part in header)
)
CONNECTIONS = st.sampled_from([b"", b"", b"connection: close\r\n", b"Connection: x, Close\r\n", b"connection: keep-alive\r\n"])
PIECES = st.binary(max_size=20) | st.sampled_from([b"\r\n", b"0\r\n\r\n", b"data: {}\n\n", b"HTTP/1.1 200 OK\r\n\r\n"])


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """Return a valid answer, with informational responses before it, and with or without a surplus or an end that is missing."""
    informational = draw(st.lists(st.tuples(st.sampled_from([100, 102, 103, 199]), HEADERS), max_size=2))
    before = b"".join(b"HTTP/1.1 %d x\r\n%b\r\n" % head for head in informational)
    status = draw(st.sampled_from([200, 200, 200, 204, 205, 304, 400, 429, 500, 599, 999]))
    start = b"HTTP/1.%d %d%b\r\n" % (draw(st.sampled_from([1, 1, 1, 0])), status, draw(st.sampled_from([b"", b" ", b" Some words"])))
    pieces = draw(st.lists(PIECES, max_size=4))
    body, framing = b"".join(pieces), draw(st.sampled_from(["length", "chunks", "close"]))
    if framing == "length":
        length = b"Content-Length: %d\r\n" % len(body)
    elif framing == "chunks":
        length = b"transfer-encoding: chunked\r\n"
        extension, trailers = draw(st.sampled_from([b"", b";a", b";a=b"])), draw(HEADERS)
        body = b"".join(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces if piece) + b"0\r\n" + trailers + b"\r\n"
    else:
        length = b""
    if status in (204, 304):
        body = b""
    stream = before + start + draw(HEADERS) + length + draw(CONNECTIONS) + draw(HEADERS) + b"\r\n" + body
    end = draw(st.sampled_from([0, 0, 0, 1, 2, 7]))
    if end:
        return stream[: len(stream) - end]
    return stream + draw(st.sampled_from([b"", b"", b"!", b"\r\n", b"HTTP/1.1 200 OK\r\n\r\n"]))


RECORDED = [
    b"HTTP/1.1 200 OK\r\ndate: x\r\nserver: uvicorn\r\ncontent-length: 27\r\ncontent-type: application/json\r\n\r\n"
    b'{"id":"1","choices":[null]}',
    b"HTTP/1.1 200 OK\r\nServer: gunicorn\r\nDate: x\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n"
    b'Content-Type: text/event-stream\r\n\r\n18\r\ndata: {"choices":[null]}\n\r\n1\r\n\n\r\ne\r\ndata: [DONE]\n\n\r\n0\r\n\r\n',
    b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5, max=100\r\nServer: llama.cpp\r\nContent-Type: text/event-stream\r\n"
    b"Transfer-Encoding: chunked\r\nAccess-Control-Allow-Origin: \r\n\r\n4;x=y\r\n: \n\n\r\n0\r\nx-took: 3\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 Too Many Requests\r\nretry-after: 2\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 502 Bad Gateway\r\nServer: nginx\r\nContent-Type: text/html\r\nContent-Length: 13\r\nConnection: close\r\n\r\n<html></html>",
    b"HTTP/1.0 200 OK\r\nServer: BaseHTTP/0.6 Python/3.11.2\r\nContent-Type: application/json\r\n\r\n{}",
    b"HTTP/1.1 204 No Content\r\nserver: x\r\n\r\n",
]
MARKS = [
    b"\r\n",
    b"\r",
    b"\n",
    b"\0",
    b" ",
    b":",
    b",",
    b";",
    b"-",
    b"+",
    b"\r\n ",
    b"\r\n\r\n",
    b"0\r\n\r\n",
    b"9" * 20,
    b"f" * 17,
    b"a" * 5000,
]
WORDS = [b"chunked", b"gzip", b"close", b"content-length: 3\r\n", b"transfer-encoding: chunked\r\n", b"Content-Encoding: gzip\r\n"]
HEADS = [b"HTTP/1.1 101 x\r\n\r\n", b"HTTP/1.1 100 x\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"upgrade: x\r\nconnection: upgrade\r\n"]
TOKENS = [*MARKS, *WORDS, *HEADS, *RECORDED]


def mutated(stream: bytes, rng: random.Random) -> bytes:
    """Return `stream` with one to six changes."""
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        start = rng.randrange(len(stream) + 1)
        end = min(len(stream), start + int(rng.expovariate(0.1)))
        part = stream[start:end]
        change = rng.randrange(6)
        if change == 0 and part:
            part = bytes([part[0] ^ (1 << rng.randrange(8))]) + part[1:]
        elif change == 1:
            part = rng.choice(TOKENS) + part
        elif change == 2:
            part = rng.choice(TOKENS)
        elif change == 3:
            part = b""
        elif change == 4:
            part *= rng.choice((2, 2, 2, 3, 50))
        else:
            end = len(stream) if rng.random() < 0.2 else end
        stream = stream[:start] + part + stream[end:]
    return stream
