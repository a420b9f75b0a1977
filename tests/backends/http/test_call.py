"""Bytes in, outcome out: one row for each way in which an upstream may answer, and for each end of its connection."""

import pytest

from tests.support.upstream_call import (
    BROKEN,
    BROKEN_EARLY,
    CHUNKED,
    CLOSED,
    COMPLETE,
    FLOOD,
    KEPT,
    NOT_HTTP,
    OK,
    WAITING,
    Outcome,
    bytewise,
    fed,
    new_call,
    outcome,
    sent_call,
    with_chunks,
    with_length,
)


def empty(status: int) -> Outcome:
    return Outcome(status, b"", COMPLETE, is_reusable=True)


ROWS: dict[str, tuple[bytes, Outcome]] = {
    # Framing.
    "length": (with_length(b""), KEPT),
    "length of nothing": (OK + b"content-length: 0\r\n\r\n", empty(200)),
    "length not reached": (OK + b"content-length: 3\r\n\r\nhi", Outcome(200, b"hi", WAITING)),
    "chunks": (with_chunks(b"transfer-encoding: chunked\r\n"), KEPT),
    "chunks, other case": (with_chunks(b"Transfer-Encoding: Chunked \r\n"), KEPT),
    "chunks with extensions": (CHUNKED + b'1;a=b\r\nh\r\n1;c;d="e"\r\ni\r\n0;x\r\n\r\n', KEPT),
    "chunks with trailers": (CHUNKED + b"2\r\nhi\r\n0\r\nx: 1\r\ny: 2\r\n\r\n", KEPT),
    "chunk size with zeros": (CHUNKED + b"0" * 100 + b"2\r\nhi\r\n0\r\n\r\n", KEPT),
    "no last chunk": (CHUNKED + b"2\r\nhi\r\n", Outcome(200, b"hi", WAITING)),
    "until close": (OK + b"\r\nhi", Outcome(200, b"hi", WAITING)),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", empty(204)),
    "204 with a length": (b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n", empty(204)),
    "204 with a body": (with_length(b"", b"HTTP/1.1 204 No Content\r\n"), Outcome(204, b"", COMPLETE)),
    "304 with a length": (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", empty(304)),
    "no reason": (with_length(b"", b"HTTP/1.1 200\r\n"), KEPT),
    "an error": (with_length(b"", b"HTTP/1.1 429 Too Many Requests\r\n"), Outcome(429, b"hi", COMPLETE, is_reusable=True)),
    # Connections that are not kept.
    "close": (with_length(b"connection: close\r\n"), CLOSED),
    "close in a list": (with_length(b"Connection: x, Close\r\n"), CLOSED),
    "close in a second header": (with_length(b"connection: keep-alive\r\nconnection: close\r\n"), CLOSED),
    "keep-alive": (with_length(b"connection: keep-alive\r\n"), KEPT),
    "1.0": (with_length(b"", b"HTTP/1.0 200 OK\r\n"), CLOSED),
    "1.0 with keep-alive": (with_length(b"connection: keep-alive\r\n", b"HTTP/1.0 200 OK\r\n"), CLOSED),
    "1.0 with chunks": (with_chunks(b"connection: keep-alive\r\ntransfer-encoding: chunked\r\n", b"HTTP/1.0 200 OK\r\n"), CLOSED),
    "2.0": (with_length(b"connection: keep-alive\r\n", b"HTTP/2.0 200 OK\r\n"), CLOSED),
    # More than the answer.
    "surplus": (with_length(b"") + b"!", CLOSED),
    "surplus like an answer's first byte": (with_length(b"") + b"H", CLOSED),
    "surplus line end": (with_length(b"") + b"\r\n", CLOSED),
    "surplus of half a line end": (with_length(b"") + b"\r", CLOSED),
    "surplus line ends behind chunks": (with_chunks(b"transfer-encoding: chunked\r\n") + b"\r\n\r\n", CLOSED),
    "surplus behind chunks": (with_chunks(b"transfer-encoding: chunked\r\n") + b"!", CLOSED),
    "surplus behind close": (with_length(b"connection: close\r\n") + b"!", CLOSED),
    "surplus flood": (with_length(b"") + b"!" * FLOOD, CLOSED),
    "second answer": (with_length(b"") + OK + b"content-length: 6\r\n\r\nsecret", CLOSED),
    "second answer behind none": (b"HTTP/1.1 204 No Content\r\n\r\n" + with_length(b""), Outcome(204, b"", COMPLETE)),
    "100 behind the answer": (with_length(b"") + b"HTTP/1.1 100 Continue\r\n\r\n", CLOSED),
    # Before the answer.
    "100": (b"HTTP/1.1 100 Continue\r\n\r\n" + with_length(b""), KEPT),
    "103 with headers": (b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * 3 + with_length(b""), KEPT),
    "100 with chunks": (b"HTTP/1.1 100 Continue\r\ntransfer-encoding: chunked\r\n\r\n" + with_length(b""), NOT_HTTP),
    "100 with a body": (with_length(b"", b"HTTP/1.1 100 Continue\r\n") + with_length(b""), NOT_HTTP),
    "199 with a body": (with_length(b"", b"HTTP/1.1 199 x\r\n") + with_length(b""), NOT_HTTP),
    "199": (b"HTTP/1.1 199 x\r\n\r\n" + with_length(b""), KEPT),
    "100 with close": (b"HTTP/1.1 100 Continue\r\nconnection: close\r\n\r\n" + with_length(b""), NOT_HTTP),
    "100 alone": (b"HTTP/1.1 100 Continue\r\n\r\n", Outcome(0, b"", WAITING)),
    "101": (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n" + with_length(b""), NOT_HTTP),
    "101 without upgrade": (b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + with_length(b""), NOT_HTTP),
    "upgrade offered": (with_length(b"upgrade: h2c\r\nconnection: upgrade\r\n"), KEPT),
    "line ends": (b"\r\n\r\n" + with_length(b""), KEPT),
}


@pytest.mark.parametrize(("stream", "expected"), ROWS.values(), ids=ROWS)
def test_an_answer_in_one_piece_and_byte_by_byte(stream: bytes, expected: Outcome) -> None:
    assert outcome(fed([stream])) == expected
    assert outcome(fed(bytewise(stream))) == expected


ENDS: dict[str, tuple[bytes, Outcome, Outcome]] = {
    # The end is clean, or the connection is lost.
    "nothing": (b"", NOT_HTTP, BROKEN_EARLY._replace(status=0, maybe_billed=True)),
    "in the head": (OK, NOT_HTTP, BROKEN_EARLY._replace(status=0, maybe_billed=True)),
    "behind a 100": (b"HTTP/1.1 100 Continue\r\n\r\n", NOT_HTTP, BROKEN_EARLY._replace(status=0, maybe_billed=True)),
    "behind the head, length": (OK + b"content-length: 2\r\n\r\n", BROKEN_EARLY, BROKEN_EARLY),
    "behind the head, chunks": (CHUNKED, BROKEN_EARLY, BROKEN_EARLY),
    "behind the head, until close": (OK + b"\r\n", Outcome(200, b"", COMPLETE), BROKEN_EARLY),
    "in the body, length": (OK + b"content-length: 3\r\n\r\nhi", BROKEN, BROKEN),
    "in a chunk": (CHUNKED + b"3\r\nhi", BROKEN, BROKEN),
    "between chunks": (CHUNKED + b"2\r\nhi\r\n", BROKEN, BROKEN),
    "in the last chunk": (CHUNKED + b"2\r\nhi\r\n0\r\n", BROKEN, BROKEN),
    "in the trailers": (CHUNKED + b"2\r\nhi\r\n0\r\nx: 1\r\n", BROKEN, BROKEN),
    "in the body, until close": (OK + b"\r\nhi", CLOSED, BROKEN),
    "in the body, until close, 1.0": (b"HTTP/1.0 200 OK\r\n\r\nhi", CLOSED, BROKEN),
    "in a giant chunk": (CHUNKED + b"F" * 16 + b"\r\nhi", BROKEN, BROKEN),
    "behind the answer": (with_length(b""), CLOSED, CLOSED),
}


@pytest.mark.parametrize(("stream", "clean", "lost"), ENDS.values(), ids=ENDS)
def test_the_end_of_the_connection(stream: bytes, clean: Outcome, lost: Outcome) -> None:
    for pieces in ([stream], bytewise(stream)):
        assert outcome(fed(pieces, is_clean=True)) == clean
        assert outcome(fed(pieces, is_clean=False)) == lost


@pytest.mark.parametrize("surplus", [b"!", b"\r\n", with_length(b"")], ids=["bytes", "line end", "answer"])
def test_surplus_in_a_later_read(surplus: bytes) -> None:
    call = fed([with_length(b"")])
    assert call.is_reusable
    call.receive(surplus, 2)
    assert outcome(call) == CLOSED


@pytest.mark.parametrize("early", [1, len(OK), len(with_length(b""))])
def test_what_comes_before_the_request_is_sent_leaves_no_connection(early: int) -> None:
    call = new_call()
    call.receive(with_length(b"")[:early], 1)
    call.sent(1)
    call.receive(with_length(b"")[early:], 1)
    assert outcome(call) == CLOSED


def test_headers_are_read_as_they_stand() -> None:
    call = fed([with_length(b"X-A:\t a b \t\r\nx-b: caf\xe9\r\nX-a: 2\r\nx-c:\r\n", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK)])
    assert call.headers == (("x-a", "a b"), ("x-b", "café"), ("x-a", "2"), ("x-c", ""), ("content-length", "2"))


def test_a_body_is_taken_once() -> None:
    call = sent_call()
    call.receive(OK + b"content-length: 2\r\n\r\n" + b"h", 1)
    assert (call.take(), call.buffered, call.take()) == (b"h", 0, b"")
    call.receive(b"i", 1)
    assert (call.buffered, call.take(), call.is_complete) == (1, b"i", True)
