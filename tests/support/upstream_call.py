"""What an upstream's bytes come to: read by `UpstreamCall`, and by h11, which shares no code with it."""

from collections.abc import Iterable
from typing import NamedTuple

import h11

from completions_mw.backends.http.call import UpstreamCall
from completions_mw.errors import GatewayError
from completions_mw.http import Headers, Timeouts, UpstreamRequest

TIMEOUTS = Timeouts(first_byte=60, between_events=30, total=600)
COMPLETE, WAITING = "complete", "waiting"
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
FLOOD = 140_000
"""Bytes: more than any bound of a call, in whatever pieces they come."""


class Outcome(NamedTuple):
    """What a call has come to."""

    status: int
    body: bytes
    end: str
    """`COMPLETE`, `WAITING` or the code of the failure."""
    is_reusable: bool = False
    maybe_billed: bool = False


KEPT, CLOSED = Outcome(200, b"hi", COMPLETE, is_reusable=True), Outcome(200, b"hi", COMPLETE)
NOT_HTTP = Outcome(0, b"", "upstream_protocol_error", maybe_billed=True)
ENCODED = Outcome(0, b"", "upstream_protocol_error")
BROKEN, BROKEN_EARLY = Outcome(200, b"hi", "upstream_disconnected"), Outcome(200, b"", "upstream_disconnected")


def new_call(now: float = 0) -> UpstreamCall:
    return UpstreamCall(UpstreamRequest("http://upstream.test/", (), b"", TIMEOUTS), now)


def sent_call() -> UpstreamCall:
    call = new_call()
    call.sent(0)
    return call


def fed(pieces: Iterable[bytes], is_clean: bool | None = None) -> UpstreamCall:
    """Return a call that was given `pieces`, and then the end of its connection: a clean one, a bad one or, with None, not yet."""
    call = sent_call()
    for piece in pieces:
        call.receive(piece, 1)
    if is_clean is not None:
        call.receive_end(is_clean=is_clean)
    return call


def outcome(call: UpstreamCall) -> Outcome:
    """Return what `call` has come to, and take its body."""
    failure = call.failure
    if failure is None:
        return Outcome(call.status, call.take(), COMPLETE if call.is_complete else WAITING, call.is_complete and call.is_reusable)
    assert isinstance(failure, GatewayError)
    assert (call.is_complete, call.is_reusable) == (False, False)
    return Outcome(call.status, call.take(), str(failure.code), maybe_billed=failure.maybe_billed)


def as_h11_has_them(headers: Headers) -> Headers:
    return tuple((name, value.lower() if name == "transfer-encoding" else value) for name, value in headers)


def bytewise(stream: bytes) -> list[bytes]:
    return [stream[index : index + 1] for index in range(len(stream))]


def with_length(headers: bytes, start: bytes = OK) -> bytes:
    return start + headers + b"content-length: 2\r\n\r\nhi"


def with_chunks(headers: bytes, start: bytes = OK) -> bytes:
    return start + headers + b"\r\n2\r\nhi\r\n0\r\n\r\n"


def read_by_h11(stream: bytes, *, has_ended: bool) -> tuple[Outcome, Headers]:
    """Return what h11 makes of `stream`.

    Raises:
        h11.RemoteProtocolError: it is not an answer.
    """
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    connection.send(h11.Request(method="POST", target="/", headers=[("host", "upstream.test"), ("content-length", "0")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(stream)
    headers: Headers = ()
    status, body, end = 0, b"", WAITING
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA and has_ended:
            has_ended = False
            connection.receive_data(b"")
        elif isinstance(event, h11.Response):
            status = event.status_code
            headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers)
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            end = COMPLETE
            break
        elif not isinstance(event, h11.InformationalResponse):
            break
    may_go_on = connection.our_state is h11.DONE and connection.their_state is h11.DONE and not connection.trailing_data[0]
    return Outcome(status, body, end, end == COMPLETE and may_go_on), headers
