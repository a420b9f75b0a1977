import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from completions_mw.core.costs.tokens import is_usage, usage_object
from completions_mw.core.streaming.grammar import ChunkGrammar
from completions_mw.errors import UpstreamError
from completions_mw.sse import DONE, Event

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
ESTIMATE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}


def grammar(*, renamed: bool = False, include_usage: bool = False) -> ChunkGrammar:
    return ChunkGrammar(
        id="own", created=7, model="asked", renamed=renamed, include_usage=include_usage, estimate=lambda characters: ESTIMATE
    )


def chunk(delta: dict[str, Any], finish: str | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return {"id": "up", "object": "chat.completion.chunk", "created": 1, "model": "upstream", "choices": [choice], **more}


def follow(rules: ChunkGrammar, chunks: list[dict[str, Any]], *, done: bool = True) -> list[Event]:
    fed = [event for data in chunks for event in rules.feed(Event(copy.deepcopy(data), b"raw"))]
    return [*fed, *rules.end(done=done)]


ROLE = chunk({"role": "assistant", "content": ""})
TEXT = chunk({"content": "Hi"})
STOP = chunk({}, "stop")


def test_chunks_that_follow_the_grammar_keep_their_bytes() -> None:
    assert follow(grammar(), [ROLE, TEXT, STOP]) == [Event(ROLE, b"raw"), Event(TEXT, b"raw"), Event(STOP, b"raw"), DONE]


def test_openai_opens_tool_calls_with_null_content() -> None:
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}
    opening = chunk({"role": "assistant", "content": None, "tool_calls": [call], "refusal": None})
    assert follow(grammar(), [opening, chunk({}, "tool_calls")])[0] == Event(opening, b"raw")


def test_a_rename_shows_the_name_asked_for() -> None:
    events = follow(grammar(renamed=True), [ROLE, STOP])
    assert [event.data["model"] for event in events[:-1]] == ["asked", "asked"]
    assert all(event.raw is None for event in events[:-1])


def test_usage_is_withheld_from_a_client_that_did_not_ask() -> None:
    usage_chunk = {**chunk({}), "choices": [], "usage": USAGE}
    rules = grammar()
    events = follow(rules, [{**ROLE, "usage": None}, STOP, usage_chunk])
    assert [event.data for event in events] == [ROLE, STOP, {}]
    assert rules.usage == USAGE


def test_usage_comes_last_and_is_null_before() -> None:
    usage_chunk = {**chunk({}), "choices": [], "usage": USAGE}
    events = follow(grammar(include_usage=True), [ROLE, {**STOP, "usage": USAGE}, usage_chunk])
    assert [event.data.get("usage", "absent") for event in events] == [None, None, USAGE, "absent"]
    assert events[2].data["choices"] == []


def test_usage_is_estimated_where_none_is_reported() -> None:
    events = follow(grammar(include_usage=True), [ROLE, STOP])
    assert events[-2].data["usage"] == ESTIMATE


@pytest.mark.parametrize(
    "usage",
    [
        None,
        7,
        "5",
        {},
        {**USAGE, "total_tokens": -1},
        {**USAGE, "prompt_tokens": "3"},
        {**USAGE, "total_tokens": 10**18},
        {**USAGE, "completion_tokens": 2**40},
        {**USAGE, "prompt_tokens": True},
    ],
)
def test_what_is_no_usage(usage: object) -> None:
    assert not is_usage(usage)


def test_the_last_sane_usage_wins() -> None:
    rules = grammar()
    follow(rules, [{**ROLE, "usage": {**USAGE, "total_tokens": 9}}, {**TEXT, "usage": USAGE}, {**STOP, "usage": {"prompt_tokens": -1}}])
    assert rules.usage == USAGE


def counting(*, include_usage: bool = False) -> ChunkGrammar:
    """Return rules whose estimate is a prompt of 10 tokens, and a token for each character."""
    return ChunkGrammar(
        id="own", created=7, model="asked", renamed=False, include_usage=include_usage, estimate=lambda size: usage_object(10, size)
    )


AT_FIRST: dict[str, tuple[dict[str, Any], tuple[int, int]]] = {
    "zeros": (usage_object(0, 0), (10, 4)),
    "prompt-only": (usage_object(12, 0), (12, 4)),
    "more-than-came": (usage_object(3, 9), (10, 9)),
    "reasoning-in-the-total": ({**usage_object(3, 1), "total_tokens": 10}, (10, 7)),
}
"""Usage on the first chunk, and what it is after four characters more."""


@pytest.mark.parametrize(("reported", "counted"), AT_FIRST.values(), ids=AT_FIRST)
def test_usage_before_the_last_text_is_the_least_that_was_used(reported: dict[str, Any], counted: tuple[int, int]) -> None:
    """See docs/promises.md, Money."""
    details = {"prompt_tokens_details": {"cached_tokens": 2}}
    rules = counting(include_usage=True)
    events = follow(rules, [{**ROLE, "usage": {**reported, **details}}, TEXT, TEXT, STOP])
    assert rules.is_estimated
    assert rules.final_usage() == {**usage_object(*counted), **details} == events[-2].data["usage"]


@pytest.mark.parametrize("include_usage", [False, True])
def test_usage_on_every_chunk_is_exact_wherever_the_stream_ends(include_usage: bool) -> None:
    rules = counting(include_usage=include_usage)
    role_and_text = chunk({"role": "assistant", "content": "Hi"})
    for count, data in enumerate([ROLE, TEXT, role_and_text, chunk({"content": "Hi"}, "stop"), {**ROLE, "choices": []}]):
        rules.feed(Event({**data, "usage": usage_object(3, count)}, b"raw"))
        assert (rules.is_estimated, rules.final_usage()) == (False, usage_object(3, count))


@pytest.mark.parametrize("nothing", [usage_object(0, 0), usage_object(3, 0)], ids=["zeros", "the prompt alone"])
def test_usage_that_says_that_nothing_was_written_is_none_where_text_was(nothing: dict[str, Any]) -> None:
    """Some report it with each chunk until the end, where the client may not be any more."""
    rules = counting()
    follow(rules, [{**data, "usage": nothing} for data in (ROLE, TEXT, TEXT)])
    assert (rules.is_estimated, rules.final_usage()) == (True, usage_object(10, 4))


def test_usage_is_exact_again_once_it_is_reported_after_the_text() -> None:
    rules = counting()
    follow(rules, [{**ROLE, "usage": usage_object(0, 0)}, TEXT, STOP, {**ROLE, "choices": [], "usage": USAGE}])
    assert (rules.is_estimated, rules.final_usage()) == (False, USAGE)


def test_usage_with_a_call_in_the_first_chunk_is_exact() -> None:
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "12345"}}
    rules = counting()
    rules.feed(Event({**chunk({"role": "assistant", "content": None, "tool_calls": [call]}), "usage": usage_object(3, 5)}, b"raw"))
    assert (rules.is_estimated, rules.final_usage()) == (False, usage_object(3, 5))
    rules.feed(Event(copy.deepcopy(TEXT), b"raw"))
    assert (rules.is_estimated, rules.final_usage()) == (True, usage_object(10, 7))


def test_an_estimate_counts_text_once_even_if_each_chunk_has_the_role() -> None:
    rules = counting()
    follow(rules, [chunk({"role": "assistant", "content": "a"}), chunk({"role": "assistant", "content": "b"})])
    assert rules.final_usage() == usage_object(10, 2)


def test_one_chunk_that_takes_every_step_becomes_three() -> None:
    events = follow(grammar(), [chunk({"role": "assistant", "content": "Hi"}, "stop")])
    deltas = [(event.data["choices"][0]["delta"], event.data["choices"][0]["finish_reason"]) for event in events[:-1]]
    assert deltas == [({"role": "assistant", "content": ""}, None), ({"content": "Hi"}, None), ({}, "stop")]


def test_ollama_repeats_the_role_and_finishes_with_done_alone() -> None:
    events = follow(grammar(), [chunk({"role": "assistant", "content": "a"}), chunk({"role": "assistant", "content": "b"})])
    deltas = [event.data["choices"][0]["delta"] for event in events[:-1]]
    assert deltas == [{"role": "assistant", "content": ""}, {"content": "a"}, {"content": "b"}, {}]
    assert events[-2].data["choices"][0]["finish_reason"] == "stop"


def test_an_opening_may_have_null_content() -> None:
    opening = chunk({"role": "assistant", "content": None})
    assert follow(grammar(), [opening, TEXT, STOP])[0] == Event(opening, b"raw")


def test_ids_and_times_are_made_one() -> None:
    events = follow(grammar(), [ROLE, {**TEXT, "id": "other", "created": 2}, STOP])
    assert {(event.data["id"], event.data["created"]) for event in events[:-1]} == {("up", 1)}


def test_what_a_target_leaves_out_is_filled_in() -> None:
    events = follow(grammar(), [{"choices": [{"index": 0, "delta": {"content": "Hi"}}]}])
    assert {(event.data["id"], event.data["created"], event.data["model"]) for event in events[:-1]} == {("own", 7, "asked")}


@pytest.mark.parametrize(
    ("chunks", "done"),
    [([ROLE, TEXT], False), ([], True), ([], False), ([ROLE, STOP, chunk({"role": "assistant", "content": ""}, index=1)], False)],
    ids=["no finish_reason", "nothing but [DONE]", "nothing", "one of two choices open"],
)
def test_an_incomplete_answer_is_never_ended(chunks: list[dict[str, Any]], done: bool) -> None:
    with pytest.raises(UpstreamError) as caught:
        follow(grammar(), chunks, done=done)
    assert caught.value.code == "upstream_incomplete"


def test_an_estimate_counts_text_and_arguments_and_survives_nonsense() -> None:
    counted: list[int] = []

    def estimate(characters: int) -> dict[str, Any]:
        counted.append(characters)
        return ESTIMATE

    rules = ChunkGrammar(id="own", created=7, model="asked", renamed=False, include_usage=True, estimate=estimate)
    calls = [{"index": 0, "function": {"name": "f", "arguments": "12345"}}, {"function": {"arguments": None}}, {"function": 7}, 7]
    follow(rules, [ROLE, TEXT, chunk({"tool_calls": calls}), chunk({"content": 5}), chunk({"tool_calls": 5}), STOP])
    assert counted == [len("Hi") + 5 + len("5")]


def test_choices_that_never_came_are_missed() -> None:
    rules = ChunkGrammar(id="own", created=7, model="asked", renamed=False, include_usage=False, n=2, estimate=lambda characters: ESTIMATE)
    with pytest.raises(UpstreamError):
        follow(rules, [ROLE, STOP], done=False)


def test_a_finish_reason_ends_an_answer_without_done() -> None:
    assert follow(grammar(), [ROLE, TEXT, STOP], done=False)[-1] is DONE


DELTAS = st.fixed_dictionaries({}, optional={"role": st.just("assistant"), "content": st.sampled_from(["", "x", None])})
CHOICES = st.builds(
    lambda delta, finish, index: {"index": index, "delta": delta, "finish_reason": finish},
    DELTAS,
    st.sampled_from([None, None, None, "stop", "length"]),
    st.integers(0, 2),
)
CHUNKS = st.lists(st.builds(lambda choices: {**chunk({}), "choices": choices}, st.lists(CHOICES, max_size=3)), max_size=12)


@given(CHUNKS, st.booleans(), st.booleans())
def test_whatever_comes_in_the_grammar_goes_out(chunks: list[dict[str, Any]], include_usage: bool, renamed: bool) -> None:
    rules = grammar(include_usage=include_usage, renamed=renamed)
    try:
        events = follow(rules, chunks)
    except UpstreamError as error:
        # Text behind the end of a choice, which the client has already, is an error and never lost.
        if error.code != "upstream_protocol_error" and any(data["choices"] for data in chunks):
            raise
        return
    state: dict[int, str] = {}
    for event in events[: -2 if include_usage else -1]:
        for choice in event.data["choices"]:
            index, delta = choice["index"], choice["delta"]
            opens = state.get(index) is None
            assert ("role" in delta) == opens
            assert not (choice["finish_reason"] and delta)
            if choice["finish_reason"]:
                assert state[index] == "open"
            state[index] = "finished" if choice["finish_reason"] or state.get(index) == "finished" else "open"
    assert set(state.values()) == {"finished"}
    text = "".join(choice["delta"].get("content") or "" for data in chunks for choice in data["choices"])
    assert sorted(text) == sorted("".join(c["delta"].get("content") or "" for e in events for c in e.data.get("choices", [])))
