"""Any bytes in any pieces: `UpstreamCall` agrees with h11 on what is an answer, and fails, within its bounds, on what is none."""

import random
from contextlib import suppress
from itertools import pairwise

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from completions_mw.backends.http.call import MAX_IDLE_BYTES
from tests.support.http_answers import RECORDED, answers, mutated
from tests.support.upstream_call import COMPLETE, WAITING, Outcome, as_h11_has_them, fed, outcome, read_by_h11, sent_call

CUTS = st.lists(st.integers(min_value=0), max_size=10)


def split_at(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


@settings(deadline=None, max_examples=60)
@pytest.mark.parametrize("has_ended", [False, True], ids=["open", "ended"])
@given(answers(), CUTS)
def test_valid_answers_are_read_as_h11_reads_them(has_ended: bool, stream: bytes, cuts: list[int]) -> None:
    call = fed(split_at(stream, cuts), is_clean=True if has_ended else None)
    try:
        theirs, headers = read_by_h11(stream, has_ended=has_ended)
    except h11.RemoteProtocolError:
        # Only an answer that ends too soon.
        assert has_ended
        assert call.failure is not None
        return
    assert outcome(call) == theirs._replace(is_reusable=theirs.is_reusable and not has_ended)
    assert call.headers == headers


def check(stream: bytes, cuts: list[int]) -> Outcome:
    """Feed `stream` in pieces and at once; return what it comes to."""
    call = sent_call()
    for piece in split_at(stream, cuts):
        call.receive(piece, 1)
        assert not (call.is_complete and call.failure)
    head = sum(len(name) + len(value) for name, value in call.headers)
    assert call.buffered + head <= len(stream)
    assert head <= 2 * MAX_IDLE_BYTES
    assert call.has_head or not call.buffered
    result = outcome(call)
    assert len(stream) > MAX_IDLE_BYTES or result == outcome(fed([stream]))
    if result.is_reusable:
        # h11 refuses some bytes that do no harm: in a reason, and between heads.
        with suppress(h11.RemoteProtocolError):
            assert read_by_h11(stream, has_ended=False) == (result, as_h11_has_them(call.headers))
    elif result.end == WAITING:
        call.receive_end()
        assert outcome(call).end != WAITING
    return result


@pytest.mark.parametrize("count", [pytest.param(3_000, id="3000"), pytest.param(1_000_000, id="1000000", marks=pytest.mark.soak)])
def test_whatever_comes_is_an_answer_or_a_failure(count: int) -> None:
    rng, seen = random.Random(8), set()
    for _ in range(count):
        stream = mutated(rng.choice(RECORDED), rng)
        cuts = [rng.randrange(len(stream) + 1) for _ in range(rng.choice((0, 1, 2, 8)))]
        try:
            result = check(stream, cuts)
        except BaseException as error:
            error.add_note(f"{stream!r} cut at {cuts}")
            raise
        seen.add((result.end, result.is_reusable))
    assert seen >= {(COMPLETE, True), (COMPLETE, False), (WAITING, False), ("upstream_protocol_error", False)}
