from typing import Any

import pytest
from pydantic_core import from_json, to_json

from completions_mw.errors import GatewayError
from completions_mw.providers import openai
from completions_mw.settings import OpenAISettings, Settings
from completions_mw.sse import DONE, Event, ServerSentEvent

SECRET = "sk-canary-upstream"
FIELDS: dict[str, Any] = {"model": "asked", "messages": [{"role": "user", "content": "hé"}], "top_k": 3}


def provider(**more: Any) -> OpenAISettings:
    settings = Settings(providers={"up": {"api": "openai", "api_key": SECRET, "base_url": "http://upstream.internal/v1", **more}})
    found = settings.providers["up"]
    assert isinstance(found, OpenAISettings)
    return found


ENDPOINT = openai.build_endpoint(provider())


@pytest.mark.parametrize(
    ("name", "base_url"),
    [("openai", "https://api.openai.com/v1"), ("Groq", "https://api.groq.com/openai/v1"), ("my-own", "https://api.openai.com/v1")],
)
def test_a_well_known_name_needs_no_address(name: str, base_url: str) -> None:
    found = Settings(providers={name: {"api": "openai"}}).providers[name]
    assert isinstance(found, OpenAISettings)
    assert openai.build_endpoint(found).url == f"{base_url}/chat/completions"


def test_a_request_names_the_model_as_the_upstream_does() -> None:
    request = openai.build_request(ENDPOINT, "gpt-4o-mini", FIELDS)
    assert request.url == "http://upstream.internal/v1/chat/completions"
    assert from_json(request.body) == {**FIELDS, "model": "gpt-4o-mini"}
    assert dict(request.headers)["authorization"] == f"Bearer {SECRET}"


def test_a_request_in_compact_json_leaves_as_the_bytes_it_came_in() -> None:
    body = to_json(FIELDS)
    assert openai.build_request(ENDPOINT, "asked", from_json(body)).body == body


@pytest.mark.parametrize("asked", [{}, {"stream_options": {"include_usage": False}}, {"stream_options": {"include_obfuscation": False}}])
def test_a_stream_is_always_asked_for_its_usage(asked: dict[str, Any]) -> None:
    sent = from_json(openai.build_request(ENDPOINT, "m", {**FIELDS, "stream": True, **asked}).body)
    assert sent["stream_options"] == {**asked.get("stream_options", {}), "include_usage": True}


def test_openai_itself_is_not_sent_our_extension() -> None:
    endpoint = openai.build_endpoint(provider(base_url="https://api.openai.com/v1"))
    assert "top_k" not in from_json(openai.build_request(endpoint, "m", FIELDS).body)


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
    assert openai.parse_event(ServerSentEvent(data)) == Event(from_json(data), data)
    assert openai.parse_event(ServerSentEvent(b"[DONE]")) is DONE


@pytest.mark.parametrize("data", [b"{", b"7", b'{"choices":[7]}', b'{"choices":[{"delta":"x"}]}', b'"\xff"'])
def test_what_is_no_chunk(data: bytes) -> None:
    with pytest.raises(GatewayError) as caught:
        openai.parse_event(ServerSentEvent(data))
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
        openai.parse_event(event)
    assert (caught.value.message, caught.value.code) == ("m", code)


def error_of(status: int, code: str | None = None, message: str = "m", headers: tuple[tuple[str, str], ...] = ()) -> GatewayError:
    body = to_json({"error": {"message": message, "type": "t", "param": "p", "code": code}})
    return openai.parse_error(status, headers, body)


@pytest.mark.parametrize(
    ("status", "code", "ours", "our_code"),
    [
        (400, "context_length_exceeded", 400, "context_length_exceeded"),
        (422, None, 400, None),
        (401, "invalid_api_key", 502, "upstream_error"),
        (403, None, 502, "upstream_error"),
        (404, "model_not_found", 404, "model_not_found"),
        (404, None, 502, "upstream_error"),
        (408, None, 504, "upstream_timeout"),
        (413, None, 413, "request_too_large"),
        (429, "rate_limit_exceeded", 429, "upstream_rate_limited"),
        (429, "insufficient_quota", 502, "upstream_error"),
        (500, None, 502, "upstream_error"),
        (503, None, 502, "upstream_error"),
        (504, None, 504, "upstream_timeout"),
        (529, None, 502, "upstream_error"),
        (204, None, 502, "upstream_error"),
        (307, None, 502, "upstream_error"),
    ],
)
def test_what_an_upstream_status_means_for_our_client(status: int, code: str | None, ours: int, our_code: str | None) -> None:
    error = error_of(status, code)
    assert (error.status, error.code) == (ours, our_code)


def test_advice_to_wait_is_kept() -> None:
    advice = (("retry-after", "2"), ("retry-after-ms", "1500"))
    assert error_of(429, headers=(*advice, ("x-other", "1"))).headers == advice


def test_an_upstreams_text_loses_our_secrets() -> None:
    error = error_of(400, message=f"key {SECRET} at http://upstream.internal/v1 " + "x" * 9000)
    ENDPOINT.redact(error)
    assert SECRET not in error.message
    assert "upstream.internal" not in error.message
    assert len(error.message) <= 2000


def test_a_limit_of_the_upstream_does_not_tell_whose_it_is() -> None:
    assert "org-" not in error_of(429, message="Rate limit reached for gpt-4o in organization org-secret").message


@pytest.mark.parametrize("body", [b"", b"<html>", b"7", b'{"error":"text"}', b'{"error":[1]}', b'{"detail":"x"}', b"\xff"])
def test_an_error_body_of_any_kind(body: bytes) -> None:
    assert openai.parse_error(400, (), body).status == 400
