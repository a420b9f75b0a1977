"""What Anthropic's Messages API is asked, beyond the corpus: headers, versions, generations of models, and what it has no words for."""

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic_core import from_json

from completions_mw.errors import InvalidRequestError
from completions_mw.providers import anthropic
from completions_mw.providers.registry import upstream_of
from completions_mw.settings import AnthropicSettings, Settings
from tests.providers.corpus.case import case

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
    assert capabilities.ranges == ({"temperature": (0, 1)} if version == OLD else {})
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
        (
            "messages[0].content[0].file.file_data",
            {"messages": said({"type": "file", "file": {"file_data": "data:text/plain;base64,é"}})},
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


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (
            {"type": "image_url", "image_url": {"url": "data:IMAGE/jpg;base64,AA=="}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "AA=="}},
        ),
        (
            {"type": "file", "file": {"filename": "a.webp", "file_data": "AA=="}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/webp", "data": "AA=="}},
        ),
        ({"type": "file", "file": {"file_id": "file_1"}}, {"type": "document", "source": {"type": "file", "file_id": "file_1"}}),
    ],
)
def test_images_and_files(part: dict[str, Any], block: dict[str, Any]) -> None:
    assert sent(messages=said(part))["messages"] == [{"role": "user", "content": [block]}]


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
