from typing import Any

import pytest
from pydantic_core import from_json, to_json

from completions_mw.errors import GatewayError
from completions_mw.providers import openai
from completions_mw.providers.openai.answer import parse_event
from completions_mw.settings import OpenAISettings, Settings
from completions_mw.settings.capabilities import Capabilities
from completions_mw.settings.compatible import capabilities_at
from completions_mw.sse import DONE, Event, ServerSentEvent

SECRET = "sk-canary-upstream"
FIELDS: dict[str, Any] = {"model": "asked", "messages": [{"role": "user", "content": "hé"}], "top_k": 3}


def provider(**more: Any) -> OpenAISettings:
    settings = Settings(providers={"up": {"api": "openai", "api_key": SECRET, "base_url": "http://upstream.internal/v1", **more}})
    found = settings.providers["up"]
    assert isinstance(found, OpenAISettings)
    return found


ENDPOINT = openai.build_endpoint(provider())
EVERYTHING = Capabilities()


def sent(fields: dict[str, Any], capabilities: Capabilities = EVERYTHING, max_tokens: int | None = None) -> dict[str, Any]:
    """Return the body of the upstream's request for `fields`."""
    body = from_json(openai.build_request(ENDPOINT, capabilities, "m", fields, max_tokens).body)
    assert isinstance(body, dict)
    return body


@pytest.mark.parametrize(
    ("name", "base_url"),
    [("openai", "https://api.openai.com/v1"), ("Groq", "https://api.groq.com/openai/v1"), ("my-own", "https://api.openai.com/v1")],
)
def test_a_well_known_name_needs_no_address(name: str, base_url: str) -> None:
    found = Settings(providers={name: {"api": "openai"}}).providers[name]
    assert isinstance(found, OpenAISettings)
    assert openai.build_endpoint(found).url == f"{base_url}/chat/completions"


def test_a_request_names_the_model_as_the_upstream_does() -> None:
    request = openai.build_request(ENDPOINT, EVERYTHING, "gpt-4o-mini", FIELDS)
    assert request.url == "http://upstream.internal/v1/chat/completions"
    assert from_json(request.body) == {**FIELDS, "model": "gpt-4o-mini"}
    assert dict(request.headers)["authorization"] == f"Bearer {SECRET}"


def test_a_request_in_compact_json_leaves_as_the_bytes_it_came_in() -> None:
    body = to_json(FIELDS)
    assert openai.build_request(ENDPOINT, EVERYTHING, "asked", from_json(body)).body == body


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("added", "left"),
    [
        ({"reasoning_content": "a", "thinking_blocks": [{}], "extra_content": {}, "content_parts": []}, {}),
        ({"tool_calls": [{**CALL, "extra_content": {"google": {}}}, CALL]}, {"tool_calls": [CALL, CALL]}),
        ({"refusal": None, "annotations": []}, {"refusal": None, "annotations": []}),
    ],
)
def test_what_other_vendors_have_added_is_left_out_where_it_is_refused(added: dict[str, Any], left: dict[str, Any]) -> None:
    asked, said = {"role": "user", "content": "a", "name": "b"}, {"role": "assistant", "content": "c"}
    fields = {"messages": [asked, {**said, **added}]}
    assert sent(fields, EVERYTHING)["messages"][1] == {**said, **added}
    assert sent(fields, capabilities_at("https://api.openai.com/v1"))["messages"] == [asked, {**said, **left}]


@pytest.mark.parametrize("asked", [{}, {"stream_options": {"include_usage": False}}, {"stream_options": {"include_obfuscation": False}}])
def test_a_stream_is_always_asked_for_its_usage(asked: dict[str, Any]) -> None:
    body = sent({**FIELDS, "stream": True, **asked})
    assert body["stream_options"] == {**asked.get("stream_options", {}), "include_usage": True}


STREAM: dict[str, Any] = {**FIELDS, "stream": True, "stream_options": {"include_usage": True}}
CAPABILITIES: dict[str, tuple[Capabilities, dict[str, Any]]] = {
    "everything": (EVERYTHING, {**STREAM, "max_tokens": 7}),
    "no usage in streams": (Capabilities(unsupported=frozenset({"stream_options"})), {**STREAM, "max_tokens": 7, "stream_options": None}),
    "another name for the maximum": (Capabilities(max_tokens="max_completion_tokens"), {**STREAM, "max_completion_tokens": 7}),
}
"""What an upstream takes, and the request that it gets; None: left out."""


@pytest.mark.parametrize(("capabilities", "body"), CAPABILITIES.values(), ids=CAPABILITIES)
def test_a_request_is_what_the_upstream_takes(capabilities: Capabilities, body: dict[str, Any]) -> None:
    expected = {name: value for name, value in {**body, "model": "m"}.items() if value is not None}
    assert sent(STREAM, capabilities, max_tokens=7) == expected


def test_a_request_is_not_changed_by_what_is_sent() -> None:
    fields = {**STREAM, "stream_options": {"include_usage": False}}
    before = to_json(fields)
    sent(fields, max_tokens=7)
    assert to_json(fields) == before


def test_an_answer_keeps_its_bytes() -> None:
    body = b'{"id": "x", "choices": [{"index": 0, "message": {}}]}'
    assert openai.parse_completion(body).raw == body


@pytest.mark.parametrize(
    "body", [b"<html>", b"", b"[]", b"{}", b'{"choices": []}', b'{"choices": [7]}', b'{"choices": [{"message": 7}]}', b'{"choices": 7}']
)
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(GatewayError) as caught:
        openai.parse_completion(body)
    assert (caught.value.status, caught.value.code) == (502, "upstream_protocol_error")


def test_a_chunk_keeps_its_bytes() -> None:
    data = b'{"choices": [{"index": 0, "delta": {}}]}'
    assert parse_event(ServerSentEvent(data)) == Event(from_json(data), data)
    assert parse_event(ServerSentEvent(b"[DONE]")) is DONE


def test_a_stream_is_fed_in_any_pieces() -> None:
    data = b'{"choices": [{"index": 0, "delta": {}}]}'
    translator = openai.open_stream(1024)
    assert translator.feed(b"data: " + data[:9]) == []
    assert translator.feed(data[9:] + b"\n\ndata: " + data + b"\n\n: comment\n\n") == [Event(from_json(data), data)] * 2
    assert translator.feed(b"data: [DONE]\n\n")[-1] is DONE
    assert (translator.end(), translator.fault) == ([], None)


def test_what_came_before_a_fault_is_delivered() -> None:
    data = b'{"choices": [{"index": 0, "delta": {}}]}'
    translator = openai.open_stream(1024)
    assert translator.feed(b"data: " + data + b"\n\ndata: 7\n\n") == [Event(from_json(data), data)]
    assert translator.fault is not None
    assert translator.fault.code == "upstream_protocol_error"


@pytest.mark.parametrize("data", [b"{", b"7", b'{"choices":[7]}', b'{"choices":[{"delta":7}]}', b'"\xff"'])
def test_what_is_no_chunk(data: bytes) -> None:
    with pytest.raises(GatewayError) as caught:
        parse_event(ServerSentEvent(data))
    assert caught.value.code == "upstream_protocol_error"


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (ServerSentEvent(b'{"error":{"message":"m","type":"t","param":null,"code":"c"}}'), "c"),
        (ServerSentEvent(b'{"object":"error","message":"m","type":"BadRequest","code":400}'), "400"),
        (ServerSentEvent(b'{"error":"m"}'), "upstream_error"),
        (ServerSentEvent(b'{"message":"m"}', "error"), "upstream_error"),
    ],
    ids=["openai", "vllm", "string", "event: error"],
)
def test_an_error_inside_a_stream(event: ServerSentEvent, code: str) -> None:
    with pytest.raises(GatewayError) as caught:
        parse_event(event)
    assert (caught.value.message, caught.value.code) == ("m", code)
