"""Streams of Bedrock beyond the corpus: frames, damage, and errors in place of events."""

from typing import Any

import pytest

from completions_mw.errors import GatewayError
from completions_mw.providers import bedrock
from completions_mw.sse import DONE, Event
from tests.providers.corpus.bedrock import FORMAT
from tests.providers.corpus.case import case
from tests.support.event_frames import event_frame, exception_frame, frame

STREAM = FORMAT.encode(case("bedrock", "plain").events)


def streamed(*pieces: bytes, max_event_bytes: int = 10_000) -> list[Event]:
    """Return the events of a stream.

    Raises:
        GatewayError: the stream failed.
    """
    translator = bedrock.open_stream(max_event_bytes)
    told: list[Event] = []
    for piece in pieces:
        told += translator.feed(piece)
        if translator.fault is not None:
            raise translator.fault
        if told and told[-1] is DONE:
            return told
    told += translator.end()
    if translator.fault is not None:
        raise translator.fault
    return told


def test_no_damaged_byte_is_taken_for_an_answer() -> None:
    """A flipped bit is found by a checksum, wherever it is."""
    assert streamed(STREAM)[-1] is DONE
    for at in range(len(STREAM)):
        damaged = bytearray(STREAM)
        damaged[at] ^= 0x10
        with pytest.raises(GatewayError) as caught:
            streamed(bytes(damaged))
        assert caught.value.code in ("upstream_protocol_error", "upstream_incomplete", "upstream_too_large"), at


MALFORMED = {
    "no JSON": frame({":event-type": "messageStart", ":message-type": "event"}, b"{"),
    "a list": frame({":event-type": "messageStart", ":message-type": "event"}, b"[]"),
    "no type": frame({":message-type": "event"}, b"{}"),
    "no start": event_frame("contentBlockStart", {"contentBlockIndex": 0}),
    "a call that did not begin": event_frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"toolUse": {"input": "{}"}}}),
    "no reason": event_frame("messageStop", {}),
    "headers beyond their end": frame({"a": "b"}, b"")[:12] + b"\x09" + frame({"a": "b"}, b"")[13:],
    "text": b"HTTP/1.1 500 Internal Server Error\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_stream_is_a_failure(name: str) -> None:
    with pytest.raises(GatewayError) as caught:
        streamed(MALFORMED[name])
    assert caught.value.code == "upstream_protocol_error"


def test_headers_of_all_types_are_read() -> None:
    kinds = {0: b"", 1: b"", 2: b"\x01", 3: b"\x01" * 2, 4: b"\x01" * 4, 5: b"\x01" * 8, 6: b"\x00\x02ab", 8: b"\x01" * 8, 9: b"\x01" * 16}
    others = b"".join(b"\x01a" + bytes([kind]) + value for kind, value in kinds.items())
    assert streamed(frame({":event-type": "messageStart", ":message-type": "event"}, b'{"role":"assistant"}', others), STREAM)[-1] is DONE
    with pytest.raises(GatewayError):
        streamed(frame({":event-type": "messageStart", ":message-type": "event"}, b"{}", b"\x01a\x0a"))


def test_a_frame_has_a_bound() -> None:
    with pytest.raises(GatewayError) as caught:
        streamed(STREAM, max_event_bytes=100)
    assert caught.value.code == "upstream_too_large"


def test_events_of_later_versions_are_left_out() -> None:
    assert streamed(event_frame("newEvent", {"a": 1}), STREAM) == streamed(STREAM)


def test_an_answer_without_its_usage_was_cut() -> None:
    events = case("bedrock", "plain").events
    with pytest.raises(GatewayError) as caught:
        streamed(FORMAT.encode(events[:-1]))
    assert caught.value.code == "upstream_incomplete"


def test_reasoning_in_a_stream() -> None:
    def delta(index: int, **content: Any) -> bytes:
        return event_frame("contentBlockDelta", {"contentBlockIndex": index, "delta": {"reasoningContent": content}})

    def stop(index: int) -> bytes:
        return event_frame("contentBlockStop", {"contentBlockIndex": index})

    # An unsigned thought, a hidden one, and a signed one.
    told = streamed(
        *(delta(0, text="a"), stop(0), delta(1, redactedContent="aGk="), stop(1), delta(2, text="b"), delta(2, signature="c2ln"), stop(2)),
        STREAM,
    )
    deltas = [event.data["choices"][0]["delta"] for event in told[:4]]
    assert deltas == [
        {"reasoning_content": "a"},
        {"thinking_blocks": [{"index": 0, "type": "redacted_thinking", "data": "aGk="}]},
        {"reasoning_content": "b"},
        {"thinking_blocks": [{"index": 1, "type": "thinking", "thinking": "b", "signature": "c2ln"}]},
    ]


@pytest.mark.parametrize("name", ["validationException", "throttlingException", "internalServerException", "serviceUnavailableException"])
def test_errors_in_a_stream_are_those_of_answers(name: str) -> None:
    with pytest.raises(GatewayError) as caught:
        streamed(exception_frame(name, {"message": "no"}))
    named = name[0].upper() + name[1:]
    status = {"ValidationException": 400, "ThrottlingException": 429, "ServiceUnavailableException": 503}.get(named, 500)
    error = bedrock.parse_error(status, (("x-amzn-errortype", named),), b'{"Message": "no"}')
    assert (type(caught.value), caught.value.code, caught.value.message) == (type(error), error.code, error.message)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[7]", b'{"message": 7}'])
def test_errors_that_are_no_exceptions(body: bytes) -> None:
    with pytest.raises(GatewayError) as caught:
        streamed(frame({":message-type": "error", ":error-code": "Unknown"}, body))
    assert (caught.value.status, caught.value.upstream_code) == (502, "Unknown")
