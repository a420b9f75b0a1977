"""Answers that are right pass as they are; answers that were cut are no answers; and it does not matter how the network splits them."""

import json
import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from completions_mw.core.answers.completion import complete_answer
from completions_mw.core.costs.tokens import usage_object
from completions_mw.core.inbound import ChatCompletions
from completions_mw.core.streaming.grammar import ChunkGrammar
from completions_mw.core.validation.json_body import Bounds
from completions_mw.core.validation.vendor_params import REJECT
from completions_mw.errors import GatewayError
from completions_mw.providers import openai
from completions_mw.sse import DONE
from tests.upstreams.cases import CASES
from tests.upstreams.recorded import RECORDED

DIALECT = ChatCompletions(lambda _: REJECT, Bounds())
MADE_UP = re.compile(rb"call_[0-9a-f]{24}")
"""Ids of calls for which the target gives none."""
STREAMS = {
    **RECORDED,
    **{case.name: case.response.body for case in CASES if case.form == "stream" and case.response.content_type == "text/event-stream"},
}


def relayed(pieces: Iterable[bytes], *, n: int = 1, include_usage: bool = True) -> tuple[bytes, str | None]:
    """Return what a client gets of a stream that comes in pieces, and the code of the error that ends it."""
    translator = openai.open_stream(1 << 20)
    grammar = ChunkGrammar(
        id="own", created=7, model="m", renamed=False, include_usage=include_usage, n=n, estimate=lambda size: usage_object(1, size)
    )
    sent = b""
    try:
        for piece in pieces:
            events = grammar.follow(translator.feed(piece))
            sent += DIALECT.frame(events)
            if events and events[-1] is DONE:
                return sent, None
            if (fault := grammar.fault or translator.fault) is not None:
                return sent, fault.code
        sent += DIALECT.frame(grammar.follow(translator.end()))
        if translator.fault is not None:
            return sent, translator.fault.code
        return sent + DIALECT.frame(grammar.end(done=False)), None
    except GatewayError as error:
        return sent, error.code


def answers_in(name: str) -> int:
    return 2 if name == "two answers" else 1


@pytest.mark.parametrize("name", RECORDED)
def test_what_is_right_passes_to_the_byte(name: str) -> None:
    assert relayed([RECORDED[name]], n=answers_in(name)) == (RECORDED[name], None)


@pytest.mark.parametrize("name", RECORDED)
def test_a_client_that_did_not_ask_for_usage_gets_the_rest(name: str) -> None:
    chunks = [json.loads(line) for line in RECORDED[name].decode().split("data: ")[1:-1]]
    expected = [{member: value for member, value in chunk.items() if member != "usage"} for chunk in chunks]
    sent, _ = relayed([RECORDED[name]], n=answers_in(name), include_usage=False)
    assert [json.loads(line) for line in sent.decode().split("data: ")[1:-1]] == [
        chunk for chunk in expected if chunk["choices"] or "moderation" in chunk
    ]


@pytest.mark.parametrize("name", RECORDED)
def test_no_cut_passes_as_a_whole_answer(name: str) -> None:
    """Behind the last finish reason nothing of the answer is missing."""
    whole = RECORDED[name]
    is_whole = whole.rindex(b"\n\n", 0, whole.index(b'"choices":[]')) + 2
    for end in range(len(whole)):
        sent, code = relayed([whole[:end]], n=answers_in(name))
        assert (code is None) == (end >= is_whole)
        assert (b"[DONE]" in sent) == (code is None)


@given(st.sampled_from(sorted(STREAMS)), st.lists(st.integers(min_value=0), max_size=8))
def test_any_split_gives_the_same_stream(name: str, cuts: list[int]) -> None:
    whole = STREAMS[name]
    edges = [0, *sorted(cut % (len(whole) + 1) for cut in cuts), len(whole)]
    pieces = [whole[start:end] for start, end in pairwise(edges)]
    (split, code), (at_once, same_code) = (relayed(given, n=answers_in(name)) for given in (pieces, [whole]))
    assert (MADE_UP.sub(b"call", split), code) == (MADE_UP.sub(b"call", at_once), same_code)


@given(st.sampled_from(sorted(STREAMS)), st.data())
def test_an_error_is_an_error_wherever_a_stream_is_cut(name: str, data: st.DataObject) -> None:
    whole = STREAMS[name]
    end = data.draw(st.integers(0, len(whole)))
    sent, code = relayed([whole[:end], b'\n\ndata: {"error":{"message":"m","code":"c"}}\n\n'], n=answers_in(name))
    assert (code is None) == (b"[DONE]" in sent)
    if b"[DONE]" not in whole[:end]:
        assert code is not None


TEXTS = st.text(max_size=8)
CALLS = st.lists(st.builds(lambda text: json.dumps({"a": text}), TEXTS), min_size=1, max_size=3).map(
    lambda arguments: [
        {"id": f"call_{number}", "type": "function", "function": {"name": "f", "arguments": text}} for number, text in enumerate(arguments)
    ]
)
MESSAGES = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": TEXTS | st.none()},
    optional={"refusal": TEXTS | st.none(), "annotations": st.just([]), "reasoning_content": TEXTS, "tool_calls": CALLS},
)


def choice(message: dict[str, Any], reason: str, extra: dict[str, Any]) -> dict[str, Any]:
    ended = "tool_calls" if message.get("tool_calls") else reason
    return {"index": 0, "message": message, "finish_reason": ended, **extra}


CHOICES = st.builds(
    choice,
    MESSAGES,
    st.sampled_from(["stop", "length", "content_filter"]),
    st.fixed_dictionaries({}, optional={"logprobs": st.none(), "stop_reason": TEXTS, "content_filter_results": st.just({})}),
)


MEMBERS = st.fixed_dictionaries({}, optional={"service_tier": TEXTS, "system_fingerprint": st.none()})


@given(st.lists(CHOICES, min_size=1, max_size=3), MEMBERS)
def test_a_whole_answer_that_is_right_passes_to_the_byte(choices: list[dict[str, Any]], more: dict[str, Any]) -> None:
    numbered = [{**one, "index": index} for index, one in enumerate(choices)]
    body = json.dumps({"id": "x", "object": "chat.completion", "created": 1, "model": "up", "choices": numbered, **more}).encode()
    completion = openai.parse_completion(body)
    assert completion.raw == body
    assert complete_answer(completion.data, new_id=lambda: "own", created=7, model="m", is_forced=False) is completion.data


@given(
    st.lists(TEXTS.filter(bool) | CALLS, max_size=6),
    st.booleans(),
    st.fixed_dictionaries({}, optional={"service_tier": TEXTS, "obfuscation": TEXTS}),
)
def test_a_stream_that_is_right_passes_to_the_byte(parts: list[Any], has_null: bool, more: dict[str, Any]) -> None:
    envelope = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "up", **more}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": None if has_null else ""}]
    count = 0
    for part in parts:
        if isinstance(part, str):
            deltas.append({"content": part})
            continue
        for call in part:
            deltas.append({"tool_calls": [{**call, "index": count, "id": f"call_{count}"}]})
            count += 1
    choices = [*((delta, None) for delta in deltas), ({}, "tool_calls" if count else "stop")]
    chunks = [{**envelope, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], "usage": None} for delta, reason in choices]
    chunks.append({**envelope, "choices": [], "usage": usage_object(3, 4)})
    stream = b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks) + b"data: [DONE]\n\n"
    assert relayed([stream]) == (stream, None)
