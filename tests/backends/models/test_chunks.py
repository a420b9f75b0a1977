"""What functions may leave out of the dicts that they give back, and what they must not get wrong."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from openai.types.chat import ChatCompletion as OpenAICompletion
from openai.types.chat.chat_completion_chunk import ChoiceDelta
from pydantic import BaseModel
from pydantic_core import from_json, to_json

from completions_mw import ChatCompletion, ChatCompletionChunk, Gateway, InternalError, Request, Settings, schemas
from completions_mw.backends.models.checks import CallPart, ChoicePart, Envelope, MessagePart
from completions_mw.core.ports import ModelFunction
from tests.support.in_process import ENVELOPE, Kind, chat, chunks, complete, every_kind, text_of

TOOL = {"function": {"name": "f"}}
CUSTOM = {"custom": {"name": "c", "input": "x"}}
USAGE = {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}
CANARY = "canary"


def whole(**message: Any) -> dict[str, Any]:
    return {"choices": [{"message": message}]}


def part(**delta: Any) -> dict[str, Any]:
    return {"choices": [{"delta": delta}]}


def calls_of(completion: dict[str, Any]) -> list[dict[str, Any]]:
    OpenAICompletion.model_validate({**ENVELOPE, **completion})
    (choice,) = completion["choices"]
    assert choice["finish_reason"] == "tool_calls"
    return list(choice["message"]["tool_calls"])


@every_kind
def test_the_calls_of_a_whole_answer_get_what_they_lack(kind: Kind) -> None:
    first, second = calls_of(complete(kind, kind.function(lambda _: whole(tool_calls=[TOOL, CUSTOM]), 15.0), chat()))
    assert {first.pop("id")[:5], second.pop("id")[:5]} == {"call_"}
    assert first == {"type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert second == {"type": "custom", "custom": {"name": "c", "input": "x"}}


@every_kind
def test_the_first_fragment_of_a_call_gets_what_it_lacks(kind: Kind) -> None:
    def function(_: object) -> Iterator[dict[str, Any]]:
        yield {"tool_calls": [TOOL]}
        yield {"tool_calls": [{"function": {"arguments": "{}"}}]}
        yield {"tool_calls": [{"function": {"name": "g", "arguments": "[]"}}, CUSTOM]}
        yield {"tool_calls": [{"index": 0, "function": {"name": None, "arguments": " "}}]}

    *parts, finish, _ = chunks(kind, kind.function(function, 15.0), chat())
    fragments = [call for each in parts for call in each["choices"][0]["delta"]["tool_calls"]]
    assert [fragment["index"] for fragment in fragments] == [0, 0, 1, 2, 0]
    assert [{"id", "type"} <= fragment.keys() for fragment in fragments] == [True, False, True, True, False]
    assert fragments[0]["function"] == {"name": "f", "arguments": ""}
    assert finish["choices"][0]["finish_reason"] == "tool_calls"
    joined = calls_of(complete(kind, kind.function(function, 15.0), chat()))
    assert [call.get("function") for call in joined] == [{"name": "f", "arguments": "{} "}, {"name": "g", "arguments": "[]"}, None]
    assert len({call["id"] for call in joined}) == 3


@every_kind
def test_fragments_belong_together_by_their_id(kind: Kind) -> None:
    def function(_: object) -> Iterator[dict[str, Any]]:
        for id, piece in (("a", "{"), ("b", "["), ("a", "}"), ("b", "]")):
            yield {"tool_calls": [{"id": id, "function": {"name": "f", "arguments": piece}}]}

    joined = calls_of(complete(kind, kind.function(function, 15.0), chat()))
    assert [(call["id"], call["function"]["arguments"]) for call in joined] == [("a", "{}"), ("b", "[]")]


@every_kind
def test_a_legacy_call_gets_its_arguments(kind: Kind) -> None:
    for item, arguments in ((whole(function_call={"name": "f"}), "{}"), ({"function_call": {"name": "f"}}, "")):
        (choice,) = complete(kind, kind.function(lambda _, item=item: item, 15.0), chat())["choices"]
        assert choice["message"]["function_call"] == {"name": "f", "arguments": arguments}


@every_kind
def test_a_delta_may_say_why_the_answer_ends_and_what_it_used(kind: Kind) -> None:
    def function(_: object) -> Iterator[dict[str, Any]]:
        yield {"content": "Hi "}
        yield {"content": "you", "finish_reason": "length", "usage": USAGE}

    completion = complete(kind, kind.function(function, 15.0), chat())
    assert completion["choices"][0]["message"]["content"] == "Hi you"
    assert (completion["choices"][0]["finish_reason"], completion["usage"]) == ("length", USAGE)
    *parts, usage = chunks(kind, kind.function(function, 15.0), chat())
    assert text_of(parts) == "Hi you"
    assert usage["usage"] == USAGE


def test_a_reason_may_stand_alone() -> None:
    from completions_mw.backends.models.chunks import chunks_of

    assert chunks_of({"finish_reason": "length"}) == [{"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]}]


@every_kind
@pytest.mark.parametrize("form", [part, dict], ids=["chunk", "delta"])
def test_reasoning_is_passed_on_and_joined(kind: Kind, form: Any) -> None:
    def function(_: object) -> Iterator[dict[str, Any]]:
        yield form(reasoning_content="Hm")
        yield form(reasoning_content="m.")
        yield form(content="Hi")

    message = complete(kind, kind.function(function, 15.0), chat())["choices"][0]["message"]
    assert message == {"role": "assistant", "content": "Hi", "refusal": None, "reasoning_content": "Hmm."}
    assert chunks(kind, kind.function(function, 15.0), chat())[0]["choices"][0]["delta"] == {"reasoning_content": "Hm"}


@every_kind
@pytest.mark.parametrize(
    "item",
    [
        ChoiceDelta(content="Hi"),
        ChoiceDelta.model_validate({"content": "Hi", "role": None, "foo": None}),
        {"content": "Hi", "foo": 1},
        part(content="Hi", foo=1) | {"foo": 1},
        whole(content="Hi", role=None, foo=1) | {"foo": 1, "id": None, "usage": None},
        {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": None, "foo": 1}]},
    ],
    ids=["sdk-delta", "sdk-delta-with-nulls", "delta", "chunk", "completion", "choice"],
)
def test_what_providers_add_does_no_harm(kind: Kind, item: object) -> None:
    completion = complete(kind, kind.function(lambda _: item, 15.0), chat())
    ChatCompletion.model_validate({**completion, **ENVELOPE})
    assert completion["choices"][0]["message"]["content"] == "Hi"
    assert text_of(chunks(kind, kind.function(lambda _: item, 15.0), chat())) == "Hi"


WRONG: dict[str, tuple[object, str]] = {
    "misspelt": ({"contnt": CANARY}, "with `contnt`, .*: `contnt` is not known here; did you mean `content`?"),
    "misspelt-beside-a-reason": (
        {"finish_reason": "stop", "contnt": CANARY},
        "with `finish_reason`, `contnt`, .* did you mean `content`?",
    ),
    "misspelt-in-chunk": (part(role="assistant", contnt=CANARY), r"choices\[0\]\.delta: `contnt` is not known"),
    "misspelt-in-message": (whole(role="assistant", contnt=CANARY), r"choices\[0\]\.message: `contnt` is not known"),
    "a-message": ({"message": {"content": CANARY}}, "`message` is not known here"),
    "an-error": ({"error": CANARY}, "`error` is not known here"),
    "key-no-text": ({1: CANARY}, "Keys should be strings"),
    "content-number": ({"content": 7}, "content: should be a valid string"),
    "content-parts": (part(content=[{"type": "text", "text": CANARY}]), r"choices\[0\]\.delta\.content: should be a valid string"),
    "choices-no-list": ({"choices": CANARY}, "choices: should be a valid list"),
    "choices-null": ({"choices": None}, "choices: should be a valid list"),
    "choice-no-dict": ({"choices": [CANARY]}, r"choices\[0\]: should be a valid dictionary"),
    "choice-empty": ({"choices": [{"text": CANARY}]}, r"choices\[0\] has no `delta` and no `message`"),
    "one-message-of-two": ({"choices": [{"message": {"content": CANARY}}, {"delta": {}}]}, r"choices\[1\] has no `message`"),
    "index-negative": ({"choices": [{"index": -1, "delta": {}}]}, r"choices\[0\]\.index: should be greater"),
    "calls-no-list": ({"tool_calls": TOOL}, "tool_calls: should be a valid list"),
    "call-without-name": ({"tool_calls": [{"function": {"arguments": CANARY}}]}, "does not begin with the `name`"),
    "whole-call-without-name": (whole(tool_calls=[{"id": CANARY}]), "does not begin with the `name`"),
    "arguments-no-text": ({"tool_calls": [{"function": {"name": "f", "arguments": {"a": CANARY}}}]}, "arguments: should be a valid string"),
    "usage-in-part": ({"usage": {"prompt_tokens": 1}}, "usage.completion_tokens: Field required"),
    "reason-no-text": ({"finish_reason": True}, "finish_reason: should be a valid string"),
    "id-no-text": ({**whole(content="Hi"), "id": 7}, "id: should be a valid string"),
    "bytes": (CANARY.encode(), "not bytes"),
    "nothing": (None, "not NoneType"),
}


@every_kind
@pytest.mark.parametrize(("item", "words"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("ask", [complete, chunks])
def test_an_item_that_is_no_part_of_an_answer_is_refused(kind: Kind, ask: Any, item: object, words: str) -> None:
    with pytest.raises(TypeError, match=words.replace("?", r"\?")) as caught:
        ask(kind, kind.function(lambda _: item, 15.0), chat())
    assert CANARY not in str(caught.value)
    assert caught.value.__context__ is None


def test_of_many_names_only_some_are_shown() -> None:
    from completions_mw.backends.models.chunks import chunks_of

    with pytest.raises(TypeError) as caught:
        chunks_of({f"a-very-long-name-\n-{number:030}": "" for number in range(100)})
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("shape", "models"),
    [
        (Envelope, (ChatCompletion, ChatCompletionChunk)),
        (ChoicePart, (schemas.Choice, schemas.ChunkChoice)),
        (MessagePart, (schemas.CompletionMessage, schemas.Delta)),
        (CallPart, (schemas.CompletionToolCall, schemas.ToolCallDelta)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_shapes_check_all_that_the_answers_declare(shape: type[BaseModel], models: tuple[type[BaseModel], ...]) -> None:
    for model in models:
        assert model.model_fields.keys() <= shape.model_fields.keys()


def gateway_of(function: ModelFunction) -> Gateway:
    return Gateway(Settings(debug=True), models={"bot": function}, authenticate=lambda _: "ada")


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_over_http_it_is_an_internal_error_and_logged(caplog: pytest.LogCaptureFixture, stream: bool) -> None:
    body = to_json({"model": "bot", "messages": [{"role": "user", "content": "hi"}], "stream": stream})
    request = Request("POST", "/api/v1/chat/completions", (("content-type", "application/json"),), body)
    with caplog.at_level(logging.ERROR):
        response = gateway_of(lambda _: {"contnt": CANARY}).handle(request)
    assert response.status == 500
    assert isinstance(response.body, bytes)
    assert from_json(response.body)["error"]["code"] == "internal_error"
    assert "did you mean `content`?" in caplog.text
    assert CANARY not in caplog.text


def test_in_python_it_is_an_internal_error_with_its_cause() -> None:
    with pytest.raises(InternalError) as caught:
        gateway_of(lambda _: {"contnt": CANARY}).complete(model="bot", messages=[{"role": "user", "content": "hi"}])
    assert isinstance(caught.value.__cause__, TypeError)
