"""Bytes in, failure out: one row for each way in which an upstream may not answer, or may not do so for ever."""

import pytest

from tests.support.upstream_call import (
    BROKEN,
    BROKEN_EARLY,
    CHUNKED,
    ENCODED,
    FLOOD,
    KEPT,
    NOT_HTTP,
    OK,
    WAITING,
    Outcome,
    bytewise,
    fed,
    outcome,
    with_chunks,
    with_length,
)

ROWS: dict[str, tuple[bytes, Outcome]] = {
    # Heads beyond their bound.
    "100 flood": (b"HTTP/1.1 100 Continue\r\n\r\n" * (FLOOD // 25) + with_length(b""), NOT_HTTP),
    "line end flood": (b"\r\n" * FLOOD + with_length(b""), NOT_HTTP),
    "huge header": (with_length(b"x: " + b"a" * FLOOD + b"\r\n"), NOT_HTTP),
    "huge name": (with_length(b"x" * FLOOD + b": a\r\n"), NOT_HTTP),
    "many headers": (with_length(b"x: a\r\n" * (FLOOD // 6)), NOT_HTTP),
    "huge reason": (with_length(b"", b"HTTP/1.1 200 " + b"a" * FLOOD + b"\r\n"), NOT_HTTP),
    "endless line": (OK + b"x: " + b"a" * FLOOD, NOT_HTTP),
    "large head": (with_length(b"x: a\r\n" * 10_000), KEPT),
    # Heads that are read in two ways.
    "folded header": (with_length(b"x: a\r\n b\r\n"), NOT_HTTP),
    "folded length": (OK + b"content-length: 2\r\n 3\r\n\r\nhi", NOT_HTTP),
    "bare LF": (b"HTTP/1.1 200 OK\ncontent-length: 2\n\nhi", NOT_HTTP),
    "bare LF in a header": (OK + b"content-length: 2\n\r\nhi", NOT_HTTP),
    "bare CR": (with_length(b"x: a\rb\r\n"), NOT_HTTP),
    "NUL": (with_length(b"x: a\0b\r\n"), NOT_HTTP),
    "space before the colon": (OK + b"content-length : 2\r\n\r\nhi", NOT_HTTP),
    "no colon": (with_length(b"x\r\n"), NOT_HTTP),
    "no name": (with_length(b": a\r\n"), NOT_HTTP),
    "both framings": (with_chunks(b"content-length: 2\r\ntransfer-encoding: chunked\r\n"), NOT_HTTP),
    "both framings, other order": (with_chunks(b"transfer-encoding: chunked\r\ncontent-length: 2\r\n"), NOT_HTTP),
    "two lengths": (with_length(b"content-length: 3\r\n"), NOT_HTTP),
    "the same length twice": (with_length(b"content-length: 2\r\n"), NOT_HTTP),
    **{
        f"length {length!r}": (OK + b"content-length: %b\r\n\r\nhi" % length, NOT_HTTP)
        for length in (b"", b"-2", b"+2", b"2,2", b"2, 2", b"2 2", b"0x2", b"2.0", b"2e0", b"99999999999999999999", b"\xb2")
    },
    "huge length": (OK + b"content-length: 18446744073709551615\r\n\r\nhi", Outcome(200, b"hi", WAITING)),
    # Encodings that nobody asked for.
    **{
        f"transfer-encoding {coding!r}": (with_chunks(b"transfer-encoding: %b\r\n" % coding), ENCODED)
        for coding in (b"gzip", b"gzip, chunked", b"chunked, gzip", b"chunked, chunked", b"chunked,", b",chunked", b"xchunked", b"identity")
    },
    "two transfer-encodings": (with_chunks(b"transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n"), ENCODED),
    "empty transfer-encoding": (with_chunks(b"transfer-encoding: \r\n"), NOT_HTTP),
    "transfer-encoding and length": (with_length(b"transfer-encoding: gzip\r\n"), NOT_HTTP),
    "gzip": (with_length(b"content-encoding: gzip\r\n"), ENCODED),
    "gzip before identity": (with_length(b"content-encoding: gzip\r\ncontent-encoding: identity\r\n"), ENCODED),
    "gzip in a list": (with_length(b"content-encoding: identity, gzip\r\n"), ENCODED),
    "identity": (with_length(b"content-encoding: Identity\r\n"), KEPT),
    "encoding of nothing": (with_length(b"content-encoding: \r\n"), KEPT),
    # Chunks that are none.
    **{
        f"chunk size {size!r}": (CHUNKED + size + b"\r\nhi\r\n0\r\n\r\n", BROKEN_EARLY)
        for size in (b"", b"-2", b"+2", b"0x2", b"g", b" 2", b"2 ", b"F" * 17, b"2\n")
    },
    "giant chunk": (CHUNKED + b"F" * 16 + b"\r\nhi", Outcome(200, b"hi", WAITING)),
    "chunk too long": (CHUNKED + b"2\r\nhi!\r\n0\r\n\r\n", BROKEN),
    "length in a trailer": (CHUNKED + b"2\r\nhi\r\n0\r\ncontent-length: 9\r\n\r\n", BROKEN),
    "endless extension": (CHUNKED + b"2;" + b"a" * FLOOD, BROKEN_EARLY),
    "endless zeros": (CHUNKED + b"0" * FLOOD, BROKEN_EARLY),
    "endless trailers": (CHUNKED + b"2\r\nhi\r\n0\r\n" + b"x: a\r\n" * (FLOOD // 6), BROKEN),
    "endless trailer": (CHUNKED + b"2\r\nhi\r\n0\r\nx: " + b"a" * FLOOD, BROKEN),
    # No answers.
    "nothing": (b"", Outcome(0, b"", WAITING)),
    "garbage": (b"SSH-2.0-OpenSSH_9.2\r\n", NOT_HTTP),
    "TLS alert": (b"\x15\x03\x01\x00\x02\x02\x0a", NOT_HTTP),
    "a request": (b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", NOT_HTTP),
    **{
        f"status line {line!r}": (with_length(b"", line + b"\r\n"), NOT_HTTP)
        for line in (b"HTTP/1.2 200 OK", b"http/1.1 200 OK", b"HTTP/1.1 20 OK", b"HTTP/1.1 2000 OK", b"HTTP/1.1 000 OK", b"HTTP/1.1 099 OK")
    },
}


@pytest.mark.parametrize(("stream", "expected"), ROWS.values(), ids=ROWS)
def test_an_answer_in_one_piece_and_byte_by_byte(stream: bytes, expected: Outcome) -> None:
    assert outcome(fed([stream])) == expected
    assert outcome(fed(bytewise(stream))) == expected
