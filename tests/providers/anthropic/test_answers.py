"""Whole and streamed answers of Anthropic's API, beyond the corpus: what is malformed, cut, new, or begins otherwise."""

from typing import Any

import pytest
from pydantic_core import to_json

from completions_mw.errors import GatewayError
from completions_mw.providers import anthropic
from completions_mw.sse import DONE
from tests.providers.corpus.case import case
from tests.providers.corpus.format import sse


def test_a_stream_without_its_last_event_was_cut() -> None:
    events = case("anthropic", "plain").events
    translator = anthropic.open_stream(1000)
    told = translator.feed(sse(events[:-1], named=True))
    assert told[-1].data["choices"][0]["finish_reason"] == "stop"
    assert DONE not in translator.end()
    assert translator.fault is not None
    assert translator.fault.code == "upstream_incomplete"


def test_nothing_follows_the_last_event() -> None:
    events = case("anthropic", "plain").events
    translator = anthropic.open_stream(1000)
    told = translator.feed(sse([*events, *events], named=True) + b"data: [DONE]\n\n")
    assert told[-1] is DONE
    assert told.count(DONE) == 1
    assert (translator.end(), translator.fault) == ([], None)


def test_an_error_before_the_first_block_comes_before_the_answer() -> None:
    translator = anthropic.open_stream(1000)
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    assert translator.feed(sse([START, {"type": "ping"}, error], named=True)) == []
    assert translator.fault is not None
    assert translator.fault.next_target


def test_an_error_that_the_end_cut_off_is_told() -> None:
    translator = anthropic.open_stream(1000)
    translator.feed(b'event: error\ndata: {"type":"error","error":{"type":"rate_limit_error","message":"x"}}\n')
    translator.end()
    assert translator.fault is not None
    assert translator.fault.status == 429


START = case("anthropic", "plain").events[0]
STREAMS: dict[str, Any] = {
    "no message": [{"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "a"}}],
    "no block": [START, {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}}],
    "no index": [START, {"type": "content_block_stop"}],
    "no usage": [{**START, "message": {"id": "m", "model": "m"}}],
    "no stop reason": [START, {"type": "message_delta", "delta": {}, "usage": {}}],
    "an end without a reason": [START, {"type": "message_delta", "delta": {"stop_reason": None}}, {"type": "message_stop"}],
    "a list": [[1]],
    "not JSON": ["{"],
    "of OpenAI": ["[DONE]"],
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_malformed_stream_is_a_failure(name: str) -> None:
    translator = anthropic.open_stream(1000)
    events = translator.feed(sse(STREAMS[name]))
    assert translator.fault is not None
    assert translator.fault.code == "upstream_protocol_error"
    assert DONE not in events


MESSAGE = case("anthropic", "plain").answer


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        to_json({**MESSAGE, "content": None}),
        to_json({**MESSAGE, "usage": {}}),
        b'{"type":"x"}',
    ],
)
def test_a_malformed_answer_is_a_failure(body: bytes) -> None:
    with pytest.raises(GatewayError) as caught:
        anthropic.parse_completion(body)
    assert caught.value.code == "upstream_protocol_error"


@pytest.mark.parametrize(
    ("reason", "became"), [("pause_turn", "length"), ("model_context_window_exceeded", "model_context_window_exceeded"), ("new", "new")]
)
def test_other_stop_reasons(reason: str, became: str) -> None:
    [choice] = anthropic.parse_completion(to_json({**MESSAGE, "stop_reason": reason})).data["choices"]
    assert choice["finish_reason"] == became


def told(block: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the deltas of a stream with one block."""
    translator = anthropic.open_stream(1000)
    begin, end = {"type": "content_block_start", "index": 3, "content_block": block}, {"type": "content_block_stop", "index": 3}
    going = [{"type": "content_block_delta", "index": 3, "delta": delta} for delta in deltas]
    events = translator.feed(sse([START, {"type": "new_event"}, begin, *going, end], named=True))
    assert translator.fault is None
    return [event.data["choices"][0]["delta"] for event in events[1:]]


def test_blocks_that_begin_with_their_content() -> None:
    use = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}
    call = {"index": 0, "id": "t", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    assert told(use) == [{"tool_calls": [call]}]
    assert told({"type": "text", "text": "a"}, {"type": "text_delta", "text": "b"}) == [{"content": "a"}, {"content": "b"}]
    thought = {"type": "thinking", "thinking": "a", "signature": ""}
    assert told(thought) == [{"reasoning_content": "a"}]
    signed = {"thinking_blocks": [{"index": 0, **thought, "signature": "s"}]}
    assert told(thought, {"type": "signature_delta", "signature": "s"}) == [{"reasoning_content": "a"}, signed]
    assert told({**thought, "signature": "s"}) == [{"reasoning_content": "a"}, signed]


def test_blocks_of_the_providers_own_tools_are_no_calls() -> None:
    use = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    assert told(use, {"type": "input_json_delta", "partial_json": "{}"}, {"type": "new_delta"}) == []
