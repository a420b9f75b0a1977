"""Python functions as models: what they may give back."""

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest
from openai.types.chat import ChatCompletion as OpenAICompletion
from openai.types.chat import ChatCompletionChunk as OpenAIChunk

from completions_mw.schemas import ChatCompletion, ChatCompletionChunk, ChatRequest
from tests.support.in_process import ENVELOPE, Kind, chat, chunks, complete, every_kind, text_of

USAGE = {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}
WHOLE = {
    **ENVELOPE,
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi you"}, "finish_reason": "length"}],
    "usage": USAGE,
}
CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}


def returns_text(_: ChatRequest) -> str:
    return "Hi you"


async def returns_text_async(_: ChatRequest) -> str:
    return "Hi you"


def yields_text(_: ChatRequest) -> Iterator[str]:
    yield "Hi "
    yield "you"


async def yields_text_async(_: ChatRequest) -> AsyncIterator[str]:
    yield "Hi "
    yield "you"


def returns_generator(request: ChatRequest) -> Iterator[str]:
    return yields_text(request)


async def returns_async_generator(request: ChatRequest) -> AsyncIterator[str]:
    return yields_text_async(request)


class CallableModel:
    async def __call__(self, request: ChatRequest, suffix: str = "you") -> str:
        return "Hi " + suffix


def yields_deltas(_: ChatRequest) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": ""}
    yield {"content": "Hi "}
    yield {"content": "you"}


def yields_chunks(_: ChatRequest) -> Iterator[dict[str, Any]]:
    yield {"choices": [{"index": 0, "delta": {"content": "Hi "}}]}
    yield {"choices": [{"index": 0, "delta": {"content": "you"}, "finish_reason": None}]}


def yields_our_chunks(_: ChatRequest) -> Iterator[ChatCompletionChunk]:
    for text in ("Hi ", "you"):
        yield ChatCompletionChunk.model_validate({**ENVELOPE, "choices": [{"index": 0, "delta": {"content": text}}]})


def yields_openai_chunks(_: ChatRequest) -> Iterator[OpenAIChunk]:
    for text in ("Hi ", "you"):
        yield OpenAIChunk.model_validate(
            {**ENVELOPE, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
        )


def returns_dict(_: ChatRequest) -> dict[str, Any]:
    return WHOLE


def returns_ours(_: ChatRequest) -> ChatCompletion:
    return ChatCompletion.model_validate(WHOLE)


def returns_openais(_: ChatRequest) -> OpenAICompletion:
    return OpenAICompletion.model_validate(WHOLE)


WHOLES = (returns_dict, returns_ours, returns_openais)

every_form = pytest.mark.parametrize(
    "function",
    [
        returns_text,
        returns_text_async,
        yields_text,
        yields_text_async,
        returns_generator,
        returns_async_generator,
        pytest.param(CallableModel(), id="callable-object"),
        pytest.param(partial(CallableModel(), suffix="you"), id="partial"),
        yields_deltas,
        yields_chunks,
        yields_our_chunks,
        yields_openai_chunks,
        returns_dict,
        returns_ours,
        returns_openais,
    ],
)


@every_kind
@every_form
def test_completes_whatever_a_function_gives_back(kind: Kind, function: Callable[..., Any]) -> None:
    completion = complete(kind, kind.function(function, 15.0), chat("hi there"))
    OpenAICompletion.model_validate({**ENVELOPE, **completion})
    (choice,) = completion["choices"]
    assert choice["message"] == {"role": "assistant", "content": "Hi you", "refusal": None}
    assert choice["logprobs"] is None
    assert choice["finish_reason"] == ("length" if function in WHOLES else "stop")
    assert completion["usage"] == USAGE


@every_kind
@every_form
def test_streams_whatever_a_function_gives_back(kind: Kind, function: Callable[..., Any]) -> None:
    *parts, finish, usage = chunks(kind, kind.function(function, 15.0), chat("hi there"))
    assert text_of(parts) == "Hi you"
    assert finish["choices"] == [{"index": 0, "delta": {}, "finish_reason": "length" if function in WHOLES else "stop"}]
    assert usage == {"choices": [], "usage": USAGE}


def calls_a_tool(_: ChatRequest) -> Iterator[dict[str, Any]]:
    yield {"tool_calls": [CALL]}
    yield {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":'}}]}
    yield {"tool_calls": [{"index": 0, "function": {"arguments": " 1}"}}, {**CALL, "index": 1, "id": "call_2"}]}
    yield {"usage": USAGE}


def calls_a_legacy_function(_: ChatRequest) -> Iterator[dict[str, Any]]:
    yield {"function_call": {"name": "f", "arguments": "{"}}
    yield {"function_call": {"arguments": "}"}}


@every_kind
def test_joins_the_fragments_of_tool_calls(kind: Kind) -> None:
    completion = complete(kind, kind.function(calls_a_tool, 15.0), chat())
    OpenAICompletion.model_validate({**ENVELOPE, **completion})
    (choice,) = completion["choices"]
    assert choice["message"]["content"] is None
    assert choice["message"]["tool_calls"] == [
        {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
        {"id": "call_2", "type": "function", "function": {"name": "f", "arguments": ""}},
    ]
    assert choice["finish_reason"] == "tool_calls"
    assert completion["usage"] == USAGE


@every_kind
def test_joins_a_legacy_function_call(kind: Kind) -> None:
    (choice,) = complete(kind, kind.function(calls_a_legacy_function, 15.0), chat())["choices"]
    assert choice["message"]["function_call"] == {"name": "f", "arguments": "{}"}
    assert choice["finish_reason"] == "function_call"


def calls_tools_at_once(_: ChatRequest) -> dict[str, Any]:
    call = {"id": "call_1", "function": {"name": "f", "arguments": "{}"}}
    return {"choices": [{"message": {"tool_calls": [call]}, "logprobs": {"content": [], "refusal": None}}]}


@every_kind
def test_a_whole_completion_keeps_its_members_and_gets_the_required_ones(kind: Kind) -> None:
    completion = complete(kind, kind.function(calls_tools_at_once, 15.0), chat("hi there"))
    OpenAICompletion.model_validate({**ENVELOPE, **completion})
    assert completion["choices"] == [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": None,
                "refusal": None,
                "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            "logprobs": {"content": [], "refusal": None},
            "finish_reason": "tool_calls",
        }
    ]
    assert completion["usage"] == {"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3}


@every_kind
def test_a_whole_completion_with_tool_calls_streams_them_in_one_chunk(kind: Kind) -> None:
    first, finish, _ = chunks(kind, kind.function(calls_tools_at_once, 15.0), chat())
    assert first["choices"][0]["delta"]["tool_calls"] == [
        {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    ]
    assert finish["choices"][0]["finish_reason"] == "tool_calls"


def says_nothing(_: ChatRequest) -> Iterator[str]:
    yield from ()


@every_kind
def test_an_empty_generator_is_an_empty_answer(kind: Kind) -> None:
    (choice,) = complete(kind, kind.function(says_nothing, 15.0), chat())["choices"]
    assert choice["message"]["content"] == ""
    finish, usage = chunks(kind, kind.function(says_nothing, 15.0), chat())
    assert finish["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    assert usage["usage"]["completion_tokens"] == 0
