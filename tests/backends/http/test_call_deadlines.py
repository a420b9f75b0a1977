"""Until when a call waits: only what brings the answer forward prolongs it."""

import pytest

from completions_mw.errors import UpstreamTimeoutError
from tests.support.upstream_call import CHUNKED, CLOSED, KEPT, OK, TIMEOUTS, new_call, outcome, sent_call, with_length

FIRST_BYTE, SILENCE, TOTAL = TIMEOUTS.first_byte, TIMEOUTS.between_events, TIMEOUTS.total
UNTIL_CLOSE = OK + b"\r\n"


def test_until_the_request_is_sent_all_of_the_time_is_left() -> None:
    call = new_call(now=5)
    assert call.read_by == call.deadline == 5 + TOTAL


@pytest.mark.parametrize("head", [CHUNKED + b"5\r\n", UNTIL_CLOSE], ids=["chunks", "until close"])
def test_the_first_byte_of_the_body_has_its_time_from_the_request_on(head: bytes) -> None:
    """Upstreams that send their head at once begin to work then."""
    call = new_call()
    call.sent(7)
    assert call.read_by == 7 + FIRST_BYTE
    call.receive(head[:5], 8)
    assert call.read_by == 7 + FIRST_BYTE
    call.receive(head[5:], 9)
    assert call.read_by == 7 + FIRST_BYTE


@pytest.mark.parametrize("head", [CHUNKED + b"5\r\n", UNTIL_CLOSE], ids=["chunks", "until close"])
def test_each_piece_prolongs_the_wait(head: bytes) -> None:
    call = sent_call()
    call.receive(head, 9)
    for now, piece in enumerate([b"h", b"i"], start=10):
        call.receive(piece, now)
        assert call.read_by == now + SILENCE


def test_the_time_in_which_nobody_reads_is_not_the_upstreams_silence() -> None:
    call = sent_call()
    call.receive(UNTIL_CLOSE + b"hi", 1)
    call.awaited(1 + 2 * SILENCE)
    assert call.read_by == 1 + 3 * SILENCE
    call.awaited(TOTAL - 1)
    assert call.read_by == TOTAL


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n", id="100"),
        pytest.param(b"", b"\r\n", id="line ends"),
        pytest.param(OK, b"x: a\r\n", id="headers"),
        pytest.param(CHUNKED + b"2;", b"a", id="chunk extension"),
        pytest.param(CHUNKED, b"0", id="chunk size"),
        pytest.param(CHUNKED + b"2\r\nhi\r\n0\r\n", b"x: a\r\n", id="trailers"),
    ],
)
def test_what_brings_nothing_forward_prolongs_nothing(start: bytes, piece: bytes) -> None:
    call = sent_call()
    call.receive(start, 1)
    until = call.read_by
    for now in range(2, 50):
        call.receive(piece, now)
        assert (call.failure, call.read_by) == (None, until)


def test_no_piece_prolongs_the_wait_beyond_the_whole_call() -> None:
    call = sent_call()
    call.receive(UNTIL_CLOSE + b"hi", TOTAL - 1)
    assert call.read_by == TOTAL
    late = new_call()
    late.sent(TOTAL - 1)
    assert late.read_by == TOTAL


def test_an_answer_that_overtakes_the_request_has_the_time_of_an_answer() -> None:
    call = new_call()
    call.receive(UNTIL_CLOSE + b"hi", 1)
    call.sent(2)
    assert call.read_by == 1 + SILENCE
    begun = new_call()
    begun.receive(OK, 1)
    begun.sent(2)
    assert begun.read_by == 2 + FIRST_BYTE


@pytest.mark.parametrize("stream", [b"", OK, UNTIL_CLOSE, UNTIL_CLOSE + b"hi"])
def test_a_deadline_that_passes_is_a_failure(stream: bytes) -> None:
    """The upstream may be at work for it all the same."""
    call = sent_call()
    call.receive(stream, 1)
    call.expire()
    assert isinstance(call.failure, UpstreamTimeoutError)
    assert (call.failure.maybe_billed, call.is_complete, call.is_reusable, call.is_disconnected) == (True, False, False, False)


def test_a_deadline_changes_nothing_once_the_call_has_ended() -> None:
    call = sent_call()
    call.receive(with_length(b""), 1)
    call.expire()
    assert outcome(call) == KEPT
    lost = sent_call()
    lost.receive_end(is_clean=False)
    failure = lost.failure
    lost.expire()
    assert lost.failure is failure


def test_what_comes_after_a_deadline_is_not_read() -> None:
    call = sent_call()
    call.receive(UNTIL_CLOSE, 1)
    call.expire()
    call.receive(b"late", 2)
    call.receive_end()
    assert (call.take(), call.is_complete, call.is_disconnected) == (b"", False, False)
    assert outcome(call).status == CLOSED.status
