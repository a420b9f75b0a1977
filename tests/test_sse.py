import json
import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic_core import PydanticSerializationError

from completions_mw.errors import UpstreamError
from completions_mw.sse import DONE, KEEP_ALIVE, Decoder, Event, ServerSentEvent, encode

LINE_END = re.compile(rb"\r\n|\n|\r")


def decoded(*pieces: bytes, max_event_bytes: int = 1024, max_events: int = 1000) -> tuple[list[ServerSentEvent], str | None]:
    """Return the events of `pieces`, and the code of the error that ended them."""
    decoder = Decoder(max_event_bytes, max_events)
    events: list[ServerSentEvent] = []
    try:
        for piece in pieces:
            events += decoder.feed(piece)
        decoder.feed(b"")
    except UpstreamError as error:
        return events, error.code
    return events, None


def decoded_at_once(stream: bytes) -> list[ServerSentEvent]:
    """The WHATWG algorithm, word by word, over a whole stream, and two ways to report an error: what the decoder must agree with."""
    events, data, name = [], b"", b""
    for line in LINE_END.split(stream.removeprefix(b"\xef\xbb\xbf"))[:-1]:
        field, _, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        if not line:
            if data:
                events.append(ServerSentEvent(data[:-1], name.decode(errors="replace")))
            data, name = b"", b""
        elif field == b"data":
            data += value + b"\n"
        elif field == b"event":
            name = value
        elif field == b"error":
            data, name = data + value + b"\n", field
        elif line[:1] in (b"{", b"["):
            data += line + b"\n"
    return events


def split_at(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


LINE_ENDS = st.sampled_from([b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n"])
FIELDS = st.sampled_from([b"data: ", b"data:", b"data", b": comment", b"event: error", b"event", b"error: ", b"id: 7", b"retry: 5"])
VALUES = st.sampled_from([b'{"a": 1}', b"\xef\xbb\xbf", b"\xef", b"\xff", b" ", b":", "\u2028\u0085é".encode(), b"x" * 30])
WHOLE_EVENTS = st.sampled_from([b'data: {"a": 1}\n\n', b'data: {"b": 2}\r\n\r\n', b"data: a\ndata: b\n\n", KEEP_ALIVE])
STREAMS = st.lists(LINE_ENDS | FIELDS | VALUES | WHOLE_EVENTS, max_size=30).map(b"".join)
CUTS = st.lists(st.integers(min_value=0), max_size=10)


@given(STREAMS, CUTS)
def test_any_split_gives_the_events_of_the_standard(stream: bytes, cuts: list[int]) -> None:
    assert decoded(*split_at(stream, cuts)) == (decoded_at_once(stream), None)


@given(st.lists(LINE_ENDS | FIELDS | VALUES | WHOLE_EVENTS, max_size=20))
def test_pieces_that_end_with_a_line_give_the_events_of_the_standard(pieces: list[bytes]) -> None:
    assert decoded(*pieces) == (decoded_at_once(b"".join(pieces)), None)


@given(STREAMS, CUTS, st.integers(1, 40), st.integers(0, 6))
@example(b"\xef\xbb\xbf", [2], 1, 1)
def test_any_split_meets_a_bound_at_the_same_event(stream: bytes, cuts: list[int], max_event_bytes: int, max_events: int) -> None:
    bounds = {"max_event_bytes": max_event_bytes, "max_events": max_events}
    assert decoded(*split_at(stream, cuts), **bounds) == decoded(stream, **bounds)


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        pytest.param(b"data: a\n\n", [b"a"], id="plain"),
        pytest.param(b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"], id="crlf"),
        pytest.param(b"data: a\r\rdata: b\r\r", [b"a", b"b"], id="cr"),
        pytest.param(b"\xef\xbb\xbfdata: a\n\n", [b"a"], id="byte order mark"),
        pytest.param(b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", [b"b"], id="only one byte order mark"),
        pytest.param(b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [b"a"], id="no byte order mark later"),
        pytest.param(b'data: {"a":\ndata: 1}\n\n', [b'{"a":\n1}'], id="multi-line"),
        pytest.param(b"data:a\n\ndata:  b\n\n", [b"a", b" b"], id="no space, two spaces"),
        pytest.param(b": x\n\n:\n\n: y\ndata: a\n: z\n\n", [b"a"], id="comments"),
        pytest.param(b"retry: 5\n\nid: 1\n\nid: 2\nfoo: x\nfoo\ndata: a\n\n", [b"a"], id="id, retry, unknown"),
        pytest.param(b"event: ping\n\ndata: a\n\n", [b"a"], id="event without data"),
        pytest.param("data: \u2028\u0085\x0b\x0c\x1cé\n\n".encode(), ["\u2028\u0085\x0b\x0c\x1cé".encode()], id="other line separators"),
        pytest.param(b"data: \xff\xfe\n\n", [b"\xff\xfe"], id="not UTF-8"),
        pytest.param(b"data\n\ndata:\n\n", [b"", b""], id="empty data"),
        pytest.param(b"\n\r\n\rdata: a\n\n\n\n", [b"a"], id="blank lines"),
        pytest.param(b"data: a\n\ndata: b\n", [b"a"], id="cut before the blank line"),
        pytest.param(b"data: a\n\ndata: b", [b"a"], id="cut in the line"),
        pytest.param(b" data: a\n\nDATA: a\n\n", [], id="other field names"),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 1000], ids=lambda size: f"{size} bytes a piece")
def test_every_form_of_an_event_is_read(stream: bytes, expected: list[bytes], size: int) -> None:
    pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
    assert decoded(*pieces) == ([ServerSentEvent(data) for data in expected], None)


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        pytest.param([b"data: x\n\n", b"data: a\ndata: b\n\n"], [b"x", b"a\nb"], id="line feed within whole events"),
        pytest.param([b"data: x\n\n", b"data: a\rdata: b\n\n"], [b"x", b"a\nb"], id="carriage return within whole events"),
        pytest.param([b"data: x\n\n", b"data: a\r\n\r\ndata: b\rdata: c\r\n\r\n"], [b"x", b"a", b"b\nc"], id="mixed line ends"),
        pytest.param([b"data: ", b"data: a\n\n"], [b"data: a"], id="whole event that ends a line"),
        pytest.param([b"data: a\n", b"data: b\n\n"], [b"a\nb"], id="whole event that ends an event"),
        pytest.param([b"data: a\r", b"", b"\ndata: b\n\n"], [b"a\nb"], id="nothing between CR and LF"),
        pytest.param([b"", b"data: a\n\n", b"\xef\xbb\xbfdata: b\n\n"], [b"a"], id="nothing before the first event"),
    ],
)
def test_pieces_that_look_like_whole_events_are_read_in_their_place(pieces: list[bytes], expected: list[bytes]) -> None:
    assert decoded(*pieces) == ([ServerSentEvent(data) for data in expected], None)


def test_the_event_field_belongs_to_its_event_alone() -> None:
    events, _ = decoded(b"event: ping\nevent: error\ndata: a\n\n", b"data: b\n\n", b"event:error\n\ndata: c\n\n")
    assert events == [ServerSentEvent(b"a", "error"), ServerSentEvent(b"b"), ServerSentEvent(b"c")]


def test_an_event_ended_by_cr_is_not_held_back() -> None:
    decoder = Decoder()
    assert decoder.feed(b"data: a\r\n\r") == [ServerSentEvent(b"a")]
    assert decoder.feed(b"\ndata: b\n\n") == [ServerSentEvent(b"b")]


@pytest.mark.parametrize(
    ("pieces", "whole", "code"),
    [
        pytest.param([b"data: " + b"x" * 10 + b"\n\n"], 1, None, id="event at the bound"),
        pytest.param([b"data: " + b"x" * 11 + b"\n\n"], 0, "upstream_too_large", id="event over the bound"),
        pytest.param([b"data: a\n\n", b"data: " + b"x" * 11 + b"\n\n"], 1, "upstream_too_large", id="second event over the bound"),
        pytest.param([b"data: a\n\n", b"x" * 17], 1, "upstream_too_large", id="line without end"),
        pytest.param([b"data: a\n\n"] + [b": x"] * 9, 1, "upstream_too_large", id="comment without end"),
        pytest.param([b"data: aaaaa\n", b"data: a\n", b"data: aa\n\n"], 1, None, id="lines at the bound"),
        pytest.param([b"data: aaaaa\n", b"data: a\n", b"data: aaa\n\n"], 0, "upstream_too_large", id="lines over the bound"),
        pytest.param([b"data\n"] * 14, 0, "upstream_too_large", id="empty lines without end"),
        pytest.param([b"event: aaaaaaa\n", b"data: aaaa\n\n"], 0, "upstream_too_large", id="event field counts"),
        pytest.param([b": aaaaaaaaaaa\n"] * 100 + [b"data: a\n\n"], 1, None, id="comments do not add up"),
    ],
)
def test_an_event_is_bounded(pieces: list[bytes], whole: int, code: str | None) -> None:
    events, found = decoded(*pieces, max_event_bytes=16)
    assert (len(events), found) == (whole, code)


def test_the_number_of_events_is_bounded() -> None:
    decoder = Decoder(max_events=3)
    assert len(decoder.feed(b"data: a\n\n" * 2)) == 2
    assert len(decoder.feed(b"data: a\n\n" * 2)) == 1
    for _ in range(2):
        with pytest.raises(UpstreamError) as caught:
            decoder.feed(b"data: a\n\n")
        assert (caught.value.status, caught.value.code) == (502, "upstream_too_large")


def test_nothing_is_read_after_a_bound_was_passed() -> None:
    decoder = Decoder(max_event_bytes=16)
    assert decoder.feed(b"data: a\n\n" + b":" * 17 + b"\n") == [ServerSentEvent(b"a")]
    for _ in range(2):
        with pytest.raises(UpstreamError):
            decoder.feed(b"data: b\n\n")


def test_the_default_bounds_hold_an_event_of_a_mebibyte() -> None:
    assert decoded_by_default(1024 * 1024 - len(b"data: ")) == 1
    with pytest.raises(UpstreamError):
        decoded_by_default(1024 * 1024 - len(b"data: ") + 1)


def decoded_by_default(size: int) -> int:
    decoder = Decoder()
    stream = b"data: " + b"x" * size + b"\n\n"
    return sum(len(decoder.feed(stream[start : start + 100])) for start in range(0, len(stream), 100))


JSON_OBJECTS = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(), st.lists, max_leaves=5
    ),
)


@given(st.lists(JSON_OBJECTS, max_size=5), CUTS)
def test_what_is_encoded_is_decoded_again(objects: list[dict[str, object]], cuts: list[int]) -> None:
    wire = b"".join(encode(Event(data)) for data in objects) + encode(DONE)
    events, _ = decoded(*split_at(wire, cuts), max_event_bytes=1024 * 1024)
    assert [json.loads(event.data) for event in events[:-1]] == objects
    assert events[-1] == ServerSentEvent(b"[DONE]")
    assert wire.isascii()
    assert wire.count(b"\n") == 2 * len(events)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        pytest.param(DONE, b"data: [DONE]\n\n", id="done"),
        pytest.param(Event({"a": 1}, b'{ "a" : 1.0 }'), b'data: { "a" : 1.0 }\n\n', id="relayed as it came"),
        pytest.param(Event({"a": 1}), b'data: {"a":1}\n\n', id="made here"),
        pytest.param(Event({"a": 1}, b'{"a":\n1}'), b'data: {"a":1}\n\n', id="line feed"),
        pytest.param(Event({"a": 1}, b'{"a":\r1}'), b'data: {"a":1}\n\n', id="carriage return"),
        pytest.param(Event({"a": "é"}, '{"a":"é"}'.encode()), b'data: {"a":"\\u00e9"}\n\n', id="not ASCII"),
        pytest.param(Event({"a": "\u2028\u0085😀"}), b'data: {"a":"\\u2028\\u0085\\ud83d\\ude00"}\n\n', id="line separators"),
        pytest.param(Event({"a": [float("-inf"), float("nan")]}), b'data: {"a":[null,null]}\n\n', id="no JSON numbers"),
    ],
)
def test_the_wire_form_is_exact(event: Event, expected: bytes) -> None:
    assert encode(event) == expected


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(PydanticSerializationError):
        encode(Event({"a": "\ud83d"}))


def test_a_keep_alive_is_no_event() -> None:
    assert KEEP_ALIVE == b": keep-alive\n\n"
    assert decoded(KEEP_ALIVE, KEEP_ALIVE) == ([], None)
