"""The types of requests and answers: convenient to read, strict or tolerant as docs/contract.md says."""

from typing import Any

import pytest
from openai.types import Model
from openai.types.chat import ChatCompletion as OpenAICompletion
from openai.types.chat import ChatCompletionChunk as OpenAIChunk
from pydantic import BaseModel, ValidationError

from completions_mw.schemas import (
    AssistantMessage,
    ChatCompletion,
    ChatCompletionChunk,
    ChatRequest,
    ModelCard,
    ModelList,
    SystemMessage,
    UserMessage,
)

USAGE = {
    "prompt_tokens": 3,
    "completion_tokens": 5,
    "total_tokens": 8,
    "prompt_tokens_details": {"cached_tokens": 1, "of_a_provider": 2},
    "completion_tokens_details": None,
}
LOGPROB = {"token": "P", "logprob": -0.5, "bytes": [80], "top_logprobs": [{"token": "P", "logprob": -0.5, "bytes": None}]}
COMPLETION: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1763856000,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Paris",
                "refusal": None,
                "annotations": [
                    {"type": "url_citation", "url_citation": {"start_index": 0, "end_index": 5, "url": "https://a.example", "title": "a"}}
                ],
                "reasoning_content": "hm",
            },
            "finish_reason": "stop",
            "logprobs": {"content": [LOGPROB], "refusal": None},
        },
        {
            "index": 1,
            "message": {
                "role": "assistant",
                "content": None,
                "refusal": None,
                "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{"}}],
            },
            "finish_reason": "tool_calls",
            "logprobs": None,
        },
    ],
    "usage": USAGE,
    "service_tier": "default",
    "system_fingerprint": None,
    "timings": {"of_a_provider": 1.5},
}
CHUNK: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "created": 1763856000,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "delta": {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}],
            },
            "finish_reason": None,
            "logprobs": None,
        }
    ],
    "usage": None,
    "obfuscation": "x",
}
MODELS: dict[str, Any] = {"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "us", "shutdown_date": None}]}


def request(**fields: Any) -> ChatRequest:
    return ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields})


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("hi", "hi"),
        (None, ""),
        ([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:,"}}, {"type": "text", "text": "b"}], "ab"),
    ],
    ids=["string", "null", "parts"],
)
def test_the_text_of_a_message(content: Any, text: str) -> None:
    assert request(messages=[{"role": "user", "content": content}]).messages[-1].text == text


def test_the_text_of_a_refusal_is_empty() -> None:
    message = AssistantMessage.model_validate({"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]})
    assert message.text == ""


def test_a_request_can_be_made_of_typed_messages() -> None:
    made = ChatRequest(model="m", messages=[SystemMessage(role="system", content="be kind"), UserMessage(role="user", content="hi")])
    assert [message.role for message in made.messages] == ["system", "user"]
    assert made.model_dump(exclude_unset=True)["messages"][1] == {"role": "user", "content": "hi"}


def test_a_request_keeps_what_a_client_added_to_its_messages() -> None:
    echo: dict[str, Any] = {"role": "assistant", "content": "x", "refusal": None, "annotations": [], "audio": None, "function_call": None}
    assert request(messages=[echo]).model_dump(exclude_unset=True)["messages"] == [echo]


def test_a_request_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        request().model = "other"


def test_a_schema_keeps_its_name_on_the_wire() -> None:
    response_format = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
    dumped = request(response_format=response_format).model_dump(exclude_unset=True, by_alias=True)
    assert dumped["response_format"] == response_format


def test_an_error_of_the_models_hides_what_was_sent() -> None:
    with pytest.raises(ValidationError) as caught:
        request(temperature="sk-canary-0123456789")
    assert "canary" not in str(caught.value)


def test_the_json_schema_of_a_request_describes_every_field() -> None:
    schema = ChatRequest.model_json_schema()
    assert schema["required"] == ["model", "messages"]
    assert schema["additionalProperties"] is False
    assert schema["properties"].keys() == ChatRequest.model_fields.keys()
    assert schema["properties"]["messages"]["items"]["discriminator"]["mapping"].keys() == {
        "system", "assistant", "user", "function", "tool", "developer",
    }  # fmt: skip
    assert schema["properties"]["metadata"]["anyOf"][0]["maxProperties"] == 16


@pytest.mark.parametrize(
    ("model", "answer"),
    [(ChatCompletion, COMPLETION), (ChatCompletionChunk, CHUNK), (ModelList, MODELS)],
    ids=["completion", "chunk", "models"],
)
def test_an_answer_loses_nothing(model: type[BaseModel], answer: dict[str, Any]) -> None:
    assert model.model_validate(answer).model_dump(exclude_unset=True) == answer


def test_an_answer_is_read_as_with_openais_own_types() -> None:
    ours, theirs = ChatCompletion.model_validate(COMPLETION), OpenAICompletion.model_validate(COMPLETION)
    assert ours.choices[0].message.content == theirs.choices[0].message.content == "Paris"
    assert ours.usage is not None
    assert ours.usage.total_tokens == 8
    calls = ours.choices[1].message.tool_calls
    assert calls is not None
    assert calls[0].function is not None
    assert calls[0].function.arguments == "{"


@pytest.mark.parametrize(
    ("ours", "theirs", "answer"),
    [(ChatCompletion, OpenAICompletion, COMPLETION), (ChatCompletionChunk, OpenAIChunk, CHUNK), (ModelCard, Model, MODELS["data"][0])],
    ids=["completion", "chunk", "model"],
)
def test_a_dump_with_all_defaults_is_still_an_answer_to_openais_types(
    ours: type[BaseModel], theirs: type[BaseModel], answer: dict[str, Any]
) -> None:
    theirs.model_validate(ours.model_validate(answer).model_dump())


def test_the_last_chunk_has_usage_and_no_choices() -> None:
    chunk = ChatCompletionChunk.model_validate({**CHUNK, "choices": [], "usage": USAGE})
    assert chunk.usage is not None
    assert (chunk.choices, chunk.usage.completion_tokens) == ([], 5)
