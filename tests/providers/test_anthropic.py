"""Anthropic's Messages API: what the corpus does not show. Its SDK has the last word on what it sends."""

from collections.abc import Mapping
from typing import Any

import pytest
from anthropic import APIStatusError
from pydantic_core import from_json, to_json

from completions_mw.errors import GatewayError, InvalidRequestError
from completions_mw.providers import anthropic
from completions_mw.providers.registry import upstream_of
from completions_mw.settings import AnthropicSettings, Settings
from completions_mw.sse import DONE
from tests.faults.conftest import KEY, AsyncClient, BlockingClient
from tests.providers.corpus.anthropic import ASKED, FORMAT, sdk
from tests.providers.corpus.case import case
from tests.providers.corpus.format import sse
from tests.providers.corpus.replay import reply
from tests.support.canned import CannedTransport

SECRET = "sk-canary-upstream"
HELLO = [{"role": "user", "content": "hé"}]
OLD, NEW = "2023-06-01", "2026-10-21"


def provider(**more: Any) -> AnthropicSettings:
    found = Settings(providers={"claude": {"api": "anthropic", "api_key": SECRET, **more}}).providers["claude"]
    assert isinstance(found, AnthropicSettings)
    return found


def sent(model: str = "claude-sonnet-5-5", version: str = NEW, max_tokens: int | None = 4096, **fields: Any) -> dict[str, Any]:
    """Return the body of the upstream's request."""
    upstream = upstream_of(provider(version=version))
    whole = {"messages": HELLO, **fields}
    body = from_json(anthropic.build_request(upstream.endpoint, upstream.capabilities, model, whole, max_tokens).body)
    assert isinstance(body, dict)
    return body


def refusal(**fields: Any) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        sent(**fields)
    # Another target may be able to answer.
    assert caught.value.next_target
    return caught.value


@pytest.mark.parametrize(
    ("more", "name", "value"),
    [({}, "x-api-key", SECRET), ({"auth": "bearer"}, "authorization", f"Bearer {SECRET}"), ({"version": OLD}, "anthropic-version", OLD)],
)
def test_the_headers_of_a_request(more: dict[str, Any], name: str, value: str) -> None:
    endpoint = anthropic.build_endpoint(provider(headers={"anthropic-beta": "files-api-2025-04-14"}, **more))
    headers = dict(endpoint.headers)
    assert headers[name] == value
    assert headers.keys() & {"x-api-key", "authorization"} == {"authorization" if "auth" in more else "x-api-key"}
    assert headers["anthropic-beta"] == "files-api-2025-04-14"
    assert endpoint.url == "https://api.anthropic.com/v1/messages"
    assert SECRET in endpoint.secrets


@pytest.mark.parametrize("version", [OLD, NEW])
def test_sampling_is_of_the_older_version(version: str) -> None:
    capabilities = anthropic.capabilities_of(provider(version=version))
    assert ({"temperature", "top_p", "top_k"} <= capabilities.unsupported) == (version == NEW)
    assert capabilities.ranges["temperature"] == (0, 1)
    body = sent(version=version, temperature=0.5, top_p=0.9, top_k=3)
    assert {name: body[name] for name in ("temperature", "top_p", "top_k") if name in body} == (
        {"temperature": 0.5, "top_p": 0.9, "top_k": 3} if version == OLD else {}
    )
    assert "top_k" not in sent(version=OLD, top_k=-1)


@pytest.mark.parametrize(
    ("model", "effort", "members"),
    [
        ("claude-opus-4-6", "none", {"thinking": {"type": "disabled"}}),
        ("claude-haiku-5-5", "none", {"thinking": {"type": "disabled"}}),
        ("claude-sonnet-5-5", "none", {"thinking": {"type": "between_tools"}}),
        ("claude-haiku-4-5-20251001", "none", {"thinking": {"type": "disabled"}}),
        ("claude-haiku-4-5-20251001", "medium", {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        ("claude-opus-4-20250514", "minimal", {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
        ("claude-3-7-sonnet-20250219", "max", {"thinking": {"type": "enabled", "budget_tokens": 3891}}),
        ("smollm2", "low", {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
    ],
)
def test_thinking_in_the_words_of_each_generation(model: str, effort: str, members: Mapping[str, Any]) -> None:
    body = sent(model, reasoning_effort=effort)
    assert {name: body[name] for name in ("thinking", "output_config") if name in body} == members


@pytest.mark.parametrize(
    "model", ["claude-opus-4-6", "claude-opus-4-7", "claude-opus-5", "claude-opus-5-5", "claude-fable-6", "claude-new"]
)
def test_newer_models_think_by_an_effort(model: str) -> None:
    body = sent(model, reasoning_effort="xhigh", response_format=case("anthropic", "json_schema").request["response_format"])
    assert body["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert body["output_config"].keys() == {"effort", "format"}
    assert body["output_config"]["effort"] == "xhigh"


def test_thinking_that_a_model_cannot_do_is_refused() -> None:
    assert refusal(model="claude-opus-5-5", reasoning_effort="none").param == "reasoning_effort"
    assert refusal(model="claude-haiku-4-5", reasoning_effort="low", max_tokens=1024).param == "reasoning_effort"


def said(*parts: Any, role: str = "user", **members: Any) -> list[dict[str, Any]]:
    return [{"role": role, "content": list(parts), **members}]


CUSTOM = {"type": "custom", "custom": {"name": "shell"}}
CUSTOM_CALL = {"id": "c", "type": "custom", "custom": {"name": "shell", "input": "ls"}}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "[1]"}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AAAA"}}


@pytest.mark.parametrize(
    ("param", "fields"),
    [
        (
            "messages[0].content[0].input_audio",
            {"messages": said({"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}})},
        ),
        ("messages[0].content[0].image_url.url", {"messages": said(IMAGE)}),
        (
            "messages[0].content[0].file.file_data",
            {"messages": said({"type": "file", "file": {"file_data": "data:audio/wav;base64,AA=="}})},
        ),
        (
            "messages[0].content[0].file.file_data",
            {"messages": said({"type": "file", "file": {"file_data": "data:text/plain;base64,/w=="}})},
        ),
        ("messages[0].role", {"messages": [{"role": "function", "name": "f", "content": "1"}]}),
        ("messages[0].function_call", {"messages": said(role="assistant", function_call={"name": "f", "arguments": "{}"})}),
        ("messages[0].audio", {"messages": said(role="assistant", audio={"id": "a"})}),
        ("messages[0].tool_calls[0].type", {"messages": said(role="assistant", tool_calls=[CUSTOM_CALL])}),
        ("messages[0].tool_calls[0].function.arguments", {"messages": said(role="assistant", tool_calls=[CALL])}),
        ("tools[0].type", {"tools": [CUSTOM]}),
        ("response_format.json_schema.schema", {"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}}),
    ],
)
def test_what_the_api_has_no_words_for_is_refused(param: str, fields: dict[str, Any]) -> None:
    error = refusal(**fields)
    assert (error.param, error.status) == (param, 400)
    assert param in error.message


OPEN: dict[str, Any] = {"type": "object", "properties": {}}
CLOSED = {**OPEN, "additionalProperties": False}


@pytest.mark.parametrize(
    ("given", "became"),
    [
        (OPEN, CLOSED),
        ({**OPEN, "additionalProperties": True}, {**OPEN, "additionalProperties": True}),
        ({"anyOf": [OPEN, {"type": "array", "items": OPEN}]}, {"anyOf": [CLOSED, {"type": "array", "items": CLOSED}]}),
        ({"$defs": {"default": OPEN}, "$ref": "#/$defs/default"}, {"$defs": {"default": CLOSED}, "$ref": "#/$defs/default"}),
        ({**OPEN, "properties": {"type": OPEN}}, {**CLOSED, "properties": {"type": CLOSED}}),
        ({"enum": [OPEN], "const": OPEN}, {"enum": [OPEN], "const": OPEN}),
    ],
)
def test_objects_of_a_schema_are_closed(given: dict[str, Any], became: dict[str, Any]) -> None:
    body = sent(response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": given}})
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": became}}


def test_instructions_alone_are_the_users_turn() -> None:
    body = sent(messages=[{"role": "system", "content": "Greet."}])
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Greet."}]}]
    assert "system" not in body


def test_thoughts_that_are_none_are_left_out() -> None:
    thoughts = [{"type": "thinking", "thinking": "a", "signature": "s", "index": 0}, {"type": "text"}, 7]
    [turn] = sent(messages=[{"role": "assistant", "content": "b", "thinking_blocks": thoughts}])["messages"]
    assert turn["content"] == [{"type": "thinking", "thinking": "a", "signature": "s"}, {"type": "text", "text": "b"}]
    assert sent(messages=[{"role": "assistant", "content": "b", "thinking_blocks": "a"}])["messages"][0]["content"][0]["type"] == "text"


def test_what_the_operator_forwards_is_sent_as_it_is() -> None:
    body = sent(reasoning_effort="low", thinking={"type": "disabled"}, inference_geo="eu", seed=3, logprobs=False)
    assert body["thinking"] == {"type": "disabled"}
    assert body["inference_geo"] == "eu"
    assert body.keys().isdisjoint({"seed", "logprobs", "reasoning_effort"})


OVERLOADED = {"type": "overloaded_error", "message": "Overloaded"}


@pytest.mark.parametrize(
    ("status", "kind", "text", "became", "code", "param"),
    [
        (400, "invalid_request_error", "messages.0.content.1.image: no", 400, None, "messages"),
        (400, "invalid_request_error", "max_tokens: 99 > 64, which is the maximum", 400, None, "max_tokens"),
        (400, "invalid_request_error", "output_config.effort: not for this model", 400, None, "reasoning_effort"),
        (400, "invalid_request_error", "stop_sequences: only whitespace", 400, None, "stop"),
        (400, "invalid_request_error", '"thinking.type.enabled" is not supported', 400, None, None),
        (400, "invalid_request_error", "metadata.user_id: an email", 400, None, None),
        (400, "invalid_request_error", "prompt is too long: 9 tokens > 8 maximum", 400, "context_length_exceeded", "messages"),
        (400, "invalid_request_error", "Your credit balance is too low", 502, "upstream_error", None),
        (401, "authentication_error", f"invalid {SECRET}", 502, "upstream_error", None),
        (402, "billing_error", "pay", 502, "upstream_error", None),
        (403, "permission_error", "no", 502, "upstream_error", None),
        (404, "not_found_error", "model: claude-1", 404, "model_not_found", None),
        (404, "not_found_error", "Not found", 502, "upstream_error", None),
        (413, "request_too_large", "32 MB", 413, "request_too_large", None),
        (429, "rate_limit_error", "slow down", 429, "upstream_rate_limited", None),
        (500, "api_error", "Internal server error", 502, "upstream_error", None),
        (504, "timeout_error", "late", 504, "upstream_timeout", None),
        (529, "overloaded_error", "Overloaded", 503, "upstream_overloaded", None),
    ],
)
def test_errors(status: int, kind: str, text: str, became: int, code: str | None, param: str | None) -> None:
    data = {"type": "error", "error": {"type": kind, "message": text}, "request_id": "req_1"}
    error = anthropic.parse_error(status, (), to_json(data))
    assert (error.status, error.code, error.param, error.upstream_code) == (became, code, param, kind)
    for name in ("output_config", "stop_sequences", "thinking", "messages.0", SECRET):
        assert name not in error.message
    # In a stream, the type stands for the status.
    translator = anthropic.open_stream(1000)
    translator.feed(sse([data], named=True))
    assert translator.fault is not None
    assert (type(translator.fault), translator.fault.code) == (type(error), code)
    with pytest.raises(APIStatusError) as caught:
        sdk(to_json(data), "application/json", status).messages.create(**ASKED)
    assert caught.value.type == kind


def test_overload_advises_to_retry() -> None:
    body = to_json({"type": "error", "error": OVERLOADED})
    assert anthropic.parse_error(529, (("retry-after", "9"),), body).retry_after == 9
    assert anthropic.parse_error(529, (), body).retry_after == 5
    assert anthropic.parse_error(529, (), b"<html>").next_target


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


def test_an_error_in_place_of_an_answer() -> None:
    with pytest.raises(GatewayError) as caught:
        anthropic.parse_completion(to_json({"type": "error", "error": OVERLOADED}))
    assert caught.value.status == 503


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


def test_blocks_of_the_providers_own_tools_are_no_calls() -> None:
    use = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    assert told(use, {"type": "input_json_delta", "partial_json": "{}"}, {"type": "new_delta"}) == []


def gateway_settings() -> Settings:
    return Settings.from_mapping(
        {
            "providers": {"up": {"api": "anthropic", "api_key": SECRET}, "echo": {"api": "echo"}},
            "models": {
                "m": {"targets": ["up/claude-sonnet-5-5"], "max_output_tokens": 77},
                "rescued": {"targets": ["up/claude-sonnet-5-5", "echo/any"]},
            },
            "keys": {"client": {"secret": KEY}},
            # Retries would wait.
            "retries": {"attempts": 1},
        }
    )


both_gateways = pytest.mark.parametrize("kind", [BlockingClient, AsyncClient])


def replaying(name: str) -> CannedTransport:
    """Return a transport that answers each request with a case, in the form that it asks for."""
    return CannedTransport(lambda request: reply(FORMAT, case("anthropic", name), stream=b'"stream":true' in request.body))


@both_gateways
def test_a_request_without_a_maximum_has_that_of_the_model(kind: type[BlockingClient | AsyncClient]) -> None:
    transport = replaying("plain")
    client = kind(gateway_settings(), transport=transport)
    assert [client.post("m", **fields).status for fields in ({}, {"stream": True}, {"max_tokens": 5})] == [200] * 3
    assert [from_json(request.body)["max_tokens"] for request in transport.requests] == [77, 77, 5]
    client.close()


@both_gateways
def test_another_target_answers_for_an_overloaded_one(kind: type[BlockingClient | AsyncClient]) -> None:
    client = kind(gateway_settings(), transport=replaying("error"))
    refused = client.post("m")
    assert (refused.status, refused.error["code"], refused.headers["retry-after"]) == (503, "upstream_overloaded", "7")
    assert client.post("rescued").text == "one two three"
    client.close()
