"""Requests that OpenAI's API would refuse are refused in its words, and no others (docs/contract.md, Validation)."""

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletionMessage

from completions_mw.core.validation.json_body import Bounds, normalise, parse_json_body
from completions_mw.core.validation.request import Chat, validate
from completions_mw.core.validation.vendor_params import ParamPolicy
from completions_mw.errors import InvalidRequestError, error_body
from completions_mw.schemas import ChatRequest, UserMessage
from tests.conformance.corpus import BASE, MESSAGES, OPTIONAL_FIELDS, ORDER_ROWS, ROWS, Row
from tests.core.validation.refused import refusal, said_of

TEXT_ROLES = ("system", "developer", "tool", "function")


def check(body: bytes) -> Chat:
    return validate(parse_json_body(body, Bounds()))


@pytest.mark.parametrize("row", [row for row in (*ROWS, *ORDER_ROWS) if row.status == 400], ids=lambda row: row.id)
def test_a_wrong_request_is_refused_as_by_openai(row: Row) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        check(row.body)
    assert error_body(caught.value)["error"] == row.error


@pytest.mark.parametrize("row", [row for row in ROWS if row.status != 400], ids=lambda row: row.id)
def test_other_rows_pass_validation(row: Row) -> None:
    assert check(row.body).fields["messages"]


def test_no_field_is_forgotten_by_the_corpus() -> None:
    assert set(OPTIONAL_FIELDS) == ChatRequest.model_fields.keys() - BASE.keys()


@pytest.mark.parametrize("field", OPTIONAL_FIELDS)
def test_null_is_the_same_as_left_out(field: str) -> None:
    assert validate({**BASE, field: None}).fields == BASE


@pytest.mark.parametrize(
    "fragment",
    [
        pytest.param({field: value}, id=f"{field}-{value}")
        for field, values in {
            "temperature": (0, 2, 0.0, 2.0),
            "top_p": (0, 1),
            "presence_penalty": (-2, 2),
            "frequency_penalty": (-2.0, 2.0),
            "n": (1, 128),
            "max_tokens": (1, 2**31 - 1),
            "max_completion_tokens": (1, 2**31 - 1),
            "top_k": (-1, 0, 1),
            "seed": (-9223372036854776000, 2**64),
            "stop": ("a", ["a"], ["a", "b", "c", "d"], "s" * 256),
            "service_tier": ("auto", "default", "flex", "scale", "priority", "fast"),
            "reasoning_effort": ("none", "minimal", "low", "medium", "high", "xhigh", "max"),
            "logit_bias": ({"any name": -100, "50256": 100, "1": 1.0}, {}),
            "metadata": ({}, {"k" * 64: "v" * 512}, {f"{number}": "" for number in range(16)}),
            "safety_identifier": ("s" * 64,),
            "functions": ([{"name": "f"}] * 128,),
            "function_call": ("none", "auto"),
            "tools": (
                [{"type": "function", "function": {"name": "f", "parameters": {"$ref": "#"}, "strict": None}}],
                [{"type": "custom", "custom": {"name": "c", "format": {"type": "text"}}}],
            ),
            "tool_choice": ("none", "auto"),
            "response_format": (
                {"type": "text"},
                {"type": "json_object"},
                {"type": "json_schema", "json_schema": {"name": "a-B_9", "schema": {"type": "object"}, "strict": True}},
            ),
            "prediction": ({"type": "content", "content": "x"}, {"type": "content", "content": [{"type": "text", "text": "x"}]}),
            "moderation": ({"model": "x", "policy": {"input": {"mode": "block"}}},),
            "web_search_options": ({}, {"user_location": {"type": "approximate", "approximate": {"city": "Bonn"}}}),
            "prompt_cache_options": ({}, {"mode": "explicit", "ttl": "30m"}),
            "prompt_cache_retention": ("in_memory", "24h"),
        }.items()
        for value in values
    ]
    + [
        pytest.param({"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False}}, id="stream_options"),
        pytest.param({"logprobs": True, "top_logprobs": 20}, id="top_logprobs"),
        *(
            pytest.param({"tools": [{"type": "custom", "custom": {"name": "c"}}], "tool_choice": choice}, id=f"tool_choice-{kind}")
            for kind, choice in {
                "required": "required",
                "function": {"type": "function", "function": {"name": "f"}},
                "custom": {"type": "custom", "custom": {"name": "c"}},
                "allowed": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function"}]}},
            }.items()
        ),
        pytest.param({"functions": [{"name": "f"}], "function_call": {"name": "f"}}, id="function_call"),
        pytest.param({"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}, id="audio"),
        pytest.param({"modalities": ["audio"], "audio": {"voice": {"id": "v"}, "format": "mp3"}}, id="own-voice"),
    ],
)
def test_what_the_specification_allows_passes_unchanged(fragment: dict[str, Any]) -> None:
    assert validate({**BASE, **fragment}).fields == {**BASE, **fragment}


@pytest.mark.parametrize(
    ("fragment", "code", "param"),
    [
        ({"top_p": 1.1}, "decimal_above_max_value", "top_p"),
        ({"max_tokens": 2**31}, "integer_above_max_value", "max_tokens"),
        ({"max_tokens": -1}, "integer_below_min_value", "max_tokens"),
        ({"n": 10**9}, "integer_above_max_value", "n"),
        ({"top_k": -2}, "integer_below_min_value", "top_k"),
        ({"temperature": True}, "invalid_type", "temperature"),
        ({"stream": 1}, "invalid_type", "stream"),
        ({"logprobs": "true"}, "invalid_type", "logprobs"),
        ({"n": 2.0}, "invalid_type", "n"),
        ({"tools": []}, "empty_array", "tools"),
        ({"tools": [{"type": "custom", "custom": {"name": "c"}}] * 129}, "array_above_max_length", "tools"),
        ({"tool_choice": "required"}, None, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, None, "tool_choice"),
        ({"function_call": {"name": "f"}}, None, "function_call"),
        ({"stop": [1]}, "invalid_type", "stop[0]"),
        ({"stop": "s" * 257}, "string_above_max_length", "stop"),
        ({"logit_bias": {"1": 1.5}}, "invalid_type", "logit_bias.1"),
        ({"logit_bias": {"1": 101}}, "integer_above_max_value", "logit_bias.1"),
        ({"functions": []}, "empty_array", "functions"),
        ({"functions": [{"name": "f"}] * 129}, "array_above_max_length", "functions"),
        ({"function_call": 7}, "invalid_type", "function_call"),
        ({"tools": [{}]}, "missing_required_parameter", "tools[0].type"),
        ({"tools": [{"type": "bogus"}]}, "invalid_value", "tools[0].type"),
        ({"tools": [{"type": "function", "function": {"name": ""}}]}, "empty_string", "tools[0].function.name"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "invalid_value", "tools[0].function.name"),
        ({"tools": [{"type": "function", "function": {"name": "f" * 65}}]}, "string_above_max_length", "tools[0].function.name"),
        (
            {"tools": [{"type": "custom", "custom": {"name": "c", "format": {"type": "grammar"}}}]},
            "missing_required_parameter",
            "tools[0].custom.format.grammar",
        ),
        ({"tool_choice": {"type": "bogus", "function": {"name": "f"}}}, "invalid_value", "tool_choice.type"),
        ({"tool_choice": {"type": "allowed_tools"}}, "missing_required_parameter", "tool_choice.allowed_tools"),
        ({"response_format": "text"}, "invalid_type", "response_format"),
        ({"response_format": {"type": 7}}, "invalid_type", "response_format.type"),
        ({"modalities": ["audio"]}, "missing_required_parameter", "audio"),
        ({"modalities": "audio"}, "invalid_type", "modalities"),
        ({"modalities": ["smell"]}, "invalid_value", "modalities[0]"),
        ({"audio": {"voice": [], "format": "wav"}}, "invalid_type", "audio.voice"),
        ({"audio": {"voice": {}, "format": "wav"}}, "missing_required_parameter", "audio.voice.id"),
        ({"prediction": {"type": "content", "content": [{"type": "text"}]}}, "missing_required_parameter", "prediction.content[0].text"),
        ({"moderation": {"model": "m", "policy": {"input": {"mode": "x"}}}}, "invalid_value", "moderation.policy.input.mode"),
        ({"safety_identifier": "s" * 65}, "string_above_max_length", "safety_identifier"),
        ({"messages": [{"role": "user", "content": []}]}, "empty_array", "messages[0].content"),
        ({"messages": [{"role": "user", "content": [7]}]}, "invalid_type", "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{}]}]}, "missing_required_parameter", "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "missing_required_parameter", "messages[0].content[0].text"),
        (
            {"messages": [*MESSAGES, {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "image_url", "image_url": {}}]}]},
            "missing_required_parameter",
            "messages[1].content[1].image_url.url",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "refusal"}]}]}, "invalid_value", "messages[0].content[0].type"),
        ({"messages": [{"role": None}]}, "invalid_type", "messages[0].role"),
        ({"messages": [{"role": "user", "name": 7}]}, "invalid_type", "messages[0].name"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "missing_required_parameter", "messages[0].tool_call_id"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "c", "type": "function"}]}]},
            "missing_required_parameter",
            "messages[0].tool_calls[0].function",
        ),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else None,
)
def test_a_fault_has_openais_code_and_path(fragment: dict[str, Any], code: str, param: str) -> None:
    error = refusal(fragment)
    assert (error.code, error.param) == (code, param)


WRONG_TYPES: dict[str, tuple[object, ...]] = {
    "temperature": (True, "0.5", [0.5], {"a": 1}),
    "top_p": (False, "1"),
    "max_tokens": (True, "5", 10.5, [5]),
    "max_completion_tokens": ("5", 1.5),
    "n": (True, "2", 1.5),
    "stream": ("true", 1, 0, "yes"),
    "logprobs": (1, "true"),
    "top_logprobs": ("1", True, 0.5),
    "seed": ("1", 1.5, True),
    "stop": (1, True, {"a": "b"}),
    "user": (1, True, ["u"]),
    "parallel_tool_calls": ("yes", 0),
    "store": ("yes", 1),
    "tools": ("f", {"type": "function"}, 1),
    "logit_bias": ([1], "a"),
    "metadata": ("a", [1]),
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in WRONG_TYPES.items() for value in values], ids=str)
def test_no_value_is_made_to_fit(field: str, value: object) -> None:
    error = refusal({field: value})
    assert (error.code, error.param) == ("invalid_type", field)


BEYOND: dict[str, tuple[object, ...]] = {
    "temperature": (-0.1, 2.1, 1e300),
    "top_p": (-0.1, 1.1),
    "presence_penalty": (-2.01, 2.01),
    "frequency_penalty": (-2.01, 2.01),
    "max_tokens": (0, -1, 2**31),
    "max_completion_tokens": (0, -1, 2**31),
    "n": (0, -1, 129, 10**9),
    "top_logprobs": (-1, 21),
    "top_k": (-2,),
    "stop": ("s" * 257, ["s"] * 5),
}
"""Values next to the bounds of `test_what_the_specification_allows_passes_unchanged`, and far from them."""


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in BEYOND.items() for value in values], ids=str)
def test_a_value_beyond_a_bound_is_refused(field: str, value: object) -> None:
    assert refusal({"logprobs": True, field: value}).param == field


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([], "messages"),
        ("hi", "messages"),
        (7, "messages"),
        (["hi"], "messages[0]"),
        ([None], "messages[0]"),
        ([*MESSAGES, {"content": "hi"}], "messages[1].role"),
        ([{"role": "x", "content": "hi"}], "messages[0].role"),
        ([{"role": 7, "content": "hi"}], "messages[0].role"),
        ([{"role": "user", "content": 7}], "messages[0].content"),
        ([{"role": "user", "content": [{"type": "x"}]}], "messages[0].content[0].type"),
        ([{"role": "tool", "content": "hi", "tool_call_id": "call_1"}], "messages.[0].role"),
        ([{"role": "assistant", "tool_calls": [{"type": "function"}]}], "messages[0].tool_calls[0].id"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_fault_of_a_message_names_its_place(messages: object, param: str) -> None:
    assert refusal({"messages": messages}).param == param


@pytest.mark.parametrize(
    ("fragment", "message"),
    [
        (
            {"stop": 7},
            "Invalid type for 'stop': expected one of a string or array of strings, but got an integer instead.",
        ),
        (
            {"function_call": True},
            "Invalid type for 'function_call': expected one of one of 'none' or 'auto' or object, but got a boolean instead.",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "a b"}}]},
            "Invalid 'tools[0].function.name': string does not match pattern. "
            "Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": ""}}},
            "Invalid 'response_format.json_schema.name': empty string. "
            "Expected a string with minimum length 1, but got an empty string instead.",
        ),
        ({"tools": [{"type": "bogus"}]}, "Invalid value: 'bogus'. Supported values are: 'function' and 'custom'."),
        ({"verbosity": "b" * 16}, "Invalid value: 'bbbbbbbbbbbbbbbb'. Supported values are: 'low', 'medium', and 'high'."),
        ({"verbosity": "PIN 1234567890 def"}, "Invalid value: 'PIN...def'. Supported values are: 'low', 'medium', and 'high'."),
        (
            {"max_tokens": 2**31},
            "Invalid 'max_tokens': integer above maximum value. Expected a value <= 2147483647, but got 2147483648 instead.",
        ),
        (
            {"messages": [{"role": 7}]},
            "Invalid type for 'messages[0].role': expected one of 'system', 'assistant', 'user', 'function', 'tool', or 'developer', "
            "but got an integer instead.",
        ),
        ({"temperature": float("nan")}, "Invalid value for 'temperature': expected a finite number."),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_a_fault_has_openais_words(fragment: dict[str, Any], message: str) -> None:
    assert refusal(fragment).message == message


@pytest.mark.parametrize("role", TEXT_ROLES)
def test_only_text_is_taken_from_some_roles(role: str) -> None:
    message = {"role": role, "tool_call_id": "c", "name": "f", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}
    assert said_of({"messages": [message]}) == (
        "invalid_value",
        "messages[0].content[0].type",
        "Invalid value: 'image_url'. Supported values are: 'text'.",
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")], ids=str)
def test_numbers_that_are_not_finite_are_refused(value: float) -> None:
    assert refusal({"temperature": value}).param == "temperature"
    with pytest.raises(InvalidRequestError, match="out of range"):
        normalise({**BASE, "tools": [{"type": "function", "function": {"name": "f", "parameters": {"maximum": value}}}]})


@pytest.mark.parametrize(
    ("policy", "fields", "extra"),
    [("ignore", BASE, {}), ("forward", {**BASE, "min_p": 0.1}, {"min_p": 0.1})],
)
def test_unknown_fields_may_be_ignored_or_forwarded(policy: Any, fields: dict[str, Any], extra: dict[str, Any]) -> None:
    chat = validate({**BASE, "min_p": 0.1}, policy=ParamPolicy(policy))
    assert chat.fields == fields
    assert chat.request.model_extra == extra


@pytest.mark.parametrize("policy", ["ignore", "forward"])
def test_other_faults_are_found_beside_unknown_fields(policy: Any) -> None:
    with pytest.raises(InvalidRequestError, match="Invalid type for 'n'"):
        validate({**BASE, "min_p": 0.1, "n": "2"}, policy=ParamPolicy(policy))


def test_what_a_request_asks_for_is_at_hand() -> None:
    chat = validate({**BASE, "stream": True, "stream_options": {"include_usage": True}, "n": 3})
    assert (chat.model, chat.stream, chat.include_usage, chat.n) == ("m", True, True, 3)
    plain = validate({**BASE, "stream": False})
    assert (plain.stream, plain.include_usage, plain.n) == (False, False, 1)


def test_the_fields_given_are_not_changed() -> None:
    fields = {**BASE, "n": None, "min_p": 1}
    validate(fields, policy=ParamPolicy("ignore"))
    assert fields == {**BASE, "n": None, "min_p": 1}


def test_messages_may_be_objects() -> None:
    echo = ChatCompletionMessage(role="assistant", content="hello")
    fields = normalise({"model": "m", "messages": (UserMessage(role="user", content="h\u00ef"), echo), "n": None})
    assert fields["messages"] == [{"role": "user", "content": "h\u00ef"}, {"role": "assistant", "content": "hello"}]
    assert len(validate(fields).request.messages) == 2


def test_plain_json_is_taken_as_it_is() -> None:
    assert normalise(BASE) == BASE
    assert normalise(BASE)["messages"] is MESSAGES


def endless() -> list[Any]:
    inside: list[Any] = []
    inside.append(inside)
    return inside


@pytest.mark.parametrize("value", [object(), endless(), "\ud800", (float("nan"),), {1: object()}], ids=lambda value: type(value).__name__)
def test_what_json_cannot_carry_is_refused(value: object) -> None:
    with pytest.raises(InvalidRequestError):
        normalise({**BASE, "metadata": {"k": value}})
