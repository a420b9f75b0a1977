"""The echo model: what it repeats, and that it keeps to what a request asks for."""

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion as OpenAICompletion
from openai.types.chat import ChatCompletionChunk as OpenAIChunk

from completions_mw.backends.models.echo import echo, tokens_of
from completions_mw.backends.models.example import example
from tests.support.in_process import BLOCKING, ENVELOPE, chat, chunks, complete, text_of

MODEL = BLOCKING.function(echo, 15.0)
WEATHER = {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
TIME = {"name": "get_time"}
TOOLS = [{"type": "custom", "custom": {"name": "c"}}, *({"type": "function", "function": function} for function in (WEATHER, TIME))]


def answer(content: Any = "hello", **fields: Any) -> dict[str, Any]:
    """Return the completion, after openai's own classes have accepted it."""
    completion = complete(BLOCKING, MODEL, chat(content, **fields))
    OpenAICompletion.model_validate({**ENVELOPE, **completion}, strict=True)
    return completion


def message(content: Any = "hello", **fields: Any) -> dict[str, Any]:
    """Return the only choice's message."""
    (choice,) = answer(content, **fields)["choices"]
    return dict(choice["message"])


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("hello  big\nworld", "hello  big\nworld"),
        (" leading and trailing ", " leading and trailing "),
        ("", ""),
        ("   ", "   "),
        ([{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}], "one"),
        ([{"role": "system", "content": "rules"}], "rules"),
        ([{"role": "user", "content": [{"type": "text", "text": "a "}, {"type": "text", "text": "b"}]}], "a b"),
        ([{"role": "user", "content": "q"}, {"role": "tool", "tool_call_id": "call_1", "content": "result"}], "result"),
        ([{"role": "user", "content": "q"}, {"role": "function", "name": "f", "content": "result"}], "result"),
    ],
)
def test_repeats(content: Any, text: str) -> None:
    assert message(content) == {"role": "assistant", "content": text, "refusal": None}
    assert text_of(chunks(BLOCKING, MODEL, chat(content))) == text


def test_streams_a_word_at_a_time() -> None:
    opening, *words, finish, usage = chunks(BLOCKING, MODEL, chat("one two three"))
    assert opening["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert [part["choices"][0]["delta"]["content"] for part in words] == ["one ", "two ", "three"]
    assert finish["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    assert usage == {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}}
    for part in (opening, *words, finish, usage):
        OpenAIChunk.model_validate({**ENVELOPE, "object": "chat.completion.chunk", **part}, strict=True)


@pytest.mark.parametrize(
    ("fields", "content", "reason"),
    [
        ({"max_tokens": 2}, "one two ", "length"),
        ({"max_completion_tokens": 1, "max_tokens": 2}, "one ", "length"),
        ({"max_tokens": 3}, "one two three", "stop"),
        ({"stop": "two"}, "one ", "stop"),
        ({"stop": ["three", "e t"]}, "on", "stop"),
        ({"stop": ["absent"]}, "one two three", "stop"),
        ({"stop": "three", "max_tokens": 1}, "one ", "length"),
    ],
)
def test_keeps_to_limits(fields: dict[str, Any], content: str, reason: str) -> None:
    (choice,) = answer("one two three", **fields)["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == (content, reason)


def test_counts_every_choice_and_the_prompt_once() -> None:
    completion = answer("one two", n=3)
    assert [(choice["index"], choice["message"]["content"]) for choice in completion["choices"]] == [
        (index, "one two") for index in range(3)
    ]
    assert completion["usage"] == {"prompt_tokens": 2, "completion_tokens": 6, "total_tokens": 8}


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        ("required", "get_weather"),
        ({"type": "function", "function": {"name": "get_time"}}, "get_time"),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [TOOLS[2]]}}, "get_time"),
    ],
    ids=["required", "named", "allowed"],
)
@pytest.mark.parametrize(
    ("text", "arguments"), [("in Paris", '{"input":"in Paris"}'), ('{"city": "Rome"}', '{"city": "Rome"}')], ids=["text", "json"]
)
def test_calls_a_forced_tool(choice: Any, name: str, text: str, arguments: str) -> None:
    completion = answer(text, tools=TOOLS, tool_choice=choice)
    (only,) = completion["choices"]
    (call,) = only["message"]["tool_calls"]
    assert only["finish_reason"] == "tool_calls"
    assert only["message"]["content"] is None
    assert (call["type"], call["function"]) == ("function", {"name": name, "arguments": arguments})
    assert call["id"].startswith("call_")


def test_streams_a_forced_tool_in_fragments() -> None:
    opening, first, *more, finish, _ = chunks(BLOCKING, MODEL, chat("in Paris", tools=TOOLS, tool_choice="required"))
    (call,) = opening["choices"][0]["delta"]["tool_calls"]
    assert (call["index"], call["type"], call["function"]) == (0, "function", {"name": "get_weather", "arguments": ""})
    fragments = [part["choices"][0]["delta"]["tool_calls"] for part in (first, *more)]
    assert all(set(fragment) == {"index", "function"} for (fragment,) in fragments)
    assert "".join(fragment["function"]["arguments"] for (fragment,) in fragments) == '{"input":"in Paris"}'
    assert finish["choices"][0]["finish_reason"] == "tool_calls"


def test_calls_a_legacy_function() -> None:
    (choice,) = answer("in Paris", functions=[WEATHER, TIME], function_call={"name": "get_time"})["choices"]
    assert choice["message"]["function_call"] == {"name": "get_time", "arguments": '{"input":"in Paris"}'}
    assert choice["finish_reason"] == "function_call"


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": TOOLS},
        {"tools": TOOLS, "tool_choice": "auto"},
        {"tools": TOOLS, "tool_choice": "none"},
        {"tools": TOOLS, "tool_choice": {"type": "custom", "custom": {"name": "c"}}},
        {"tools": TOOLS, "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": TOOLS}}},
        {"functions": [WEATHER], "function_call": "auto"},
    ],
    ids=["tools", "auto", "none", "custom", "allowed-auto", "legacy-auto"],
)
def test_calls_no_tool_that_is_not_forced(fields: dict[str, Any]) -> None:
    assert message("hello", **fields)["content"] == "hello"


def test_answers_with_the_result_of_a_tool_even_when_one_is_forced() -> None:
    messages = [{"role": "user", "content": "q"}, {"role": "tool", "tool_call_id": "call_1", "content": "21 degrees"}]
    assert message(messages, tools=TOOLS, tool_choice="required")["content"] == "21 degrees"


@pytest.mark.parametrize(("text", "content"), [("two words", '{"echo":"two words"}'), ('{"a": 1}', '{"a": 1}'), ("[1]", '{"echo":"[1]"}')])
def test_answers_with_a_json_object(text: str, content: str) -> None:
    assert message(text, response_format={"type": "json_object"})["content"] == content


TREE = {"type": "object", "properties": {"child": {"$ref": "#/$defs/a~1b"}}, "required": ["child"], "$defs": {"a/b": {"enum": ["x", "y"]}}}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "object", "properties": {"city": {"type": "string"}, "n": {"type": "integer"}}, "required": ["city"]}, {"city": "Paris"}),
        ({"properties": {"ok": {"type": "boolean"}, "at": {"type": ["number", "null"]}}}, {"ok": False, "at": 0}),
        ({"type": "array", "items": {"type": "integer", "minimum": 3}, "minItems": 2}, [3, 3]),
        ({"type": "string", "minLength": 7}, "Paris--"),
        ({"type": "string", "maxLength": 3}, "Par"),
        ({"anyOf": [{"type": "null"}, {"type": "string"}]}, None),
        ({"const": 5}, 5),
        (TREE, {"child": "x"}),
        ({"$ref": "https://example.com/other.json"}, "Paris"),
    ],
)
def test_gives_an_instance_of_a_schema(schema: dict[str, Any], value: Any) -> None:
    response_format = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    assert json.loads(message("Paris", response_format=response_format)["content"]) == value


def test_a_schema_that_contains_itself_ends() -> None:
    assert "child" in example({"type": "object", "properties": {"child": {"$ref": "#"}}}, "")


def test_gives_log_probabilities() -> None:
    (choice,) = answer("héllo", logprobs=True, top_logprobs=2)["choices"]
    certain = {"token": "héllo", "logprob": 0.0, "bytes": [104, 195, 169, 108, 108, 111]}
    assert choice["logprobs"] == {"content": [{**certain, "top_logprobs": [certain]}], "refusal": None}


@pytest.mark.parametrize("text", ["a b", " a  b ", "\n", "", "a\u00a0b\tc"])
def test_tokens_joined_are_the_text(text: str) -> None:
    assert "".join(tokens_of(text)) == text
