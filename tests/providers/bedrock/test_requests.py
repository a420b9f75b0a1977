"""What Bedrock is asked, beyond the corpus."""

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic_core import from_json

from completions_mw.errors import InvalidRequestError
from completions_mw.providers import bedrock
from completions_mw.providers.registry import upstream_of
from completions_mw.settings import BedrockSettings, Settings

SECRET = "key-canary-upstream"
HELLO = [{"role": "user", "content": "hé"}]
CLAUDE = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "amazon.nova-2-lite-v1:0"
LLAMA = "meta.llama3-3-70b-instruct-v1:0"


def provider(**more: Any) -> BedrockSettings:
    found = Settings(providers={"aws": {"api": "bedrock", "region": "us-gov-west-1", "api_key": SECRET, **more}}).providers["aws"]
    assert isinstance(found, BedrockSettings)
    return found


def sent(model: str = CLAUDE, max_tokens: int | None = None, **fields: Any) -> dict[str, Any]:
    """Return the body of the upstream's request."""
    upstream = upstream_of(provider())
    asked = bedrock.build_request(upstream.endpoint, upstream.capabilities, model, {"messages": HELLO, **fields}, max_tokens)
    body = from_json(asked.body)
    assert isinstance(body, dict)
    return body


def refusal(model: str = CLAUDE, **fields: Any) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        sent(model, **fields)
    # Another target may be able to answer.
    assert caught.value.next_target
    return caught.value


def test_the_endpoint_is_that_of_the_region() -> None:
    endpoint = bedrock.build_endpoint(provider())
    assert endpoint.url == "https://bedrock-runtime.us-gov-west-1.amazonaws.com"
    assert dict(endpoint.headers)["authorization"] == f"Bearer {SECRET}"
    assert bedrock.build_endpoint(provider(base_url="https://vpce.test/")).url == "https://vpce.test"


@pytest.mark.parametrize(
    ("model", "fields", "members"),
    [
        (CLAUDE, {"top_k": -1}, {}),
        (CLAUDE, {"reasoning_effort": "none"}, {"additionalModelRequestFields": {"thinking": {"type": "disabled"}}}),
        (
            CLAUDE,
            {"reasoning_effort": "medium", "max_tokens": 4096, "top_k": 5},
            {"additionalModelRequestFields": {"top_k": 5, "thinking": {"type": "enabled", "budget_tokens": 2048}}},
        ),
        (
            CLAUDE,
            {"reasoning_effort": "low"},
            {"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 6400}}},
        ),
        (NOVA, {"top_k": 5}, {"additionalModelRequestFields": {"inferenceConfig": {"topK": 5}}}),
        (
            NOVA,
            {"reasoning_effort": "minimal"},
            {"additionalModelRequestFields": {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}},
        ),
        (NOVA, {"reasoning_effort": "none"}, {"additionalModelRequestFields": {"reasoningConfig": {"type": "disabled"}}}),
        ("openai.gpt-oss-120b-1:0", {"reasoning_effort": "high"}, {"additionalModelRequestFields": {"reasoning_effort": "high"}}),
        (LLAMA, {}, {}),
        (LLAMA, {"min_p": 0.1}, {"additionalModelRequestFields": {"min_p": 0.1}}),
    ],
)
def test_parameters_in_the_words_of_each_vendor(model: str, fields: dict[str, Any], members: Mapping[str, Any]) -> None:
    body = sent(model, **fields)
    assert {name: body[name] for name in ("additionalModelRequestFields", "outputConfig") if name in body} == members


def said(*parts: Any, role: str = "user", **members: Any) -> list[dict[str, Any]]:
    return [{"role": role, "content": list(parts), **members}]


TOOL = {"type": "function", "function": {"name": "f"}}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLED = [*HELLO, {"role": "assistant", "content": None, "tool_calls": [CALL]}, {"role": "tool", "tool_call_id": "c", "content": "1"}]


@pytest.mark.parametrize(
    ("param", "fields"),
    [
        (
            "messages[0].content[0].image_url.url",
            {"messages": said({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}})},
        ),
        (
            "messages[0].content[0].image_url.url",
            {"messages": said({"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AA=="}})},
        ),
        ("messages[0].content[0].file.file_id", {"messages": said({"type": "file", "file": {"file_id": "file-1"}})}),
        (
            "messages[0].content[0].file.file_data",
            {"messages": said({"type": "file", "file": {"file_data": "data:image/png;base64,AA=="}})},
        ),
        ("messages[0].role", {"messages": [{"role": "function", "name": "f", "content": "1"}]}),
        ("messages[0].function_call", {"messages": said(role="assistant", function_call={"name": "f", "arguments": "{}"})}),
        ("messages[0].audio", {"messages": said(role="assistant", audio={"id": "a"})}),
        ("messages[0].tool_calls[0].type", {"messages": said(role="assistant", tool_calls=[{**CALL, "type": "custom"}])}),
        ("tools[0].type", {"tools": [{"type": "custom", "custom": {"name": "shell"}}]}),
        ("tool_choice", {"tools": [TOOL], "tool_choice": "none", "messages": CALLED}),
        ("response_format", {"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}}),
        ("top_k", {"model": LLAMA, "top_k": 5}),
        ("top_k", {"model": "openai.gpt-oss-20b-1:0", "top_k": 5}),
        ("reasoning_effort", {"model": LLAMA, "reasoning_effort": "low"}),
        ("reasoning_effort", {"model": "amazon.nova-pro-v1:0", "reasoning_effort": "low"}),
        ("reasoning_effort", {"model": NOVA, "reasoning_effort": "max"}),
    ],
)
def test_what_the_api_has_no_words_for_is_refused(param: str, fields: dict[str, Any]) -> None:
    error = refusal(**fields)
    assert (error.param, error.status) == (param, 400)
    assert param in error.message


@pytest.mark.parametrize(
    ("choice", "names", "sent_choice"),
    [
        ("none", [], None),
        ("auto", ["f", "g"], {"auto": {}}),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"function": {"name": "g"}}]}}, ["g"], {"any": {}}),
    ],
)
def test_tool_choices(choice: Any, names: list[str], sent_choice: dict[str, Any] | None) -> None:
    config = sent(tools=[TOOL, {"type": "function", "function": {"name": "g"}}], tool_choice=choice).get("toolConfig", {})
    assert [tool["toolSpec"]["name"] for tool in config.get("tools", ())] == names
    assert config.get("toolChoice") == sent_choice


@pytest.mark.parametrize(
    "thoughts",
    [None, 7, [7], [{"type": "text"}], [{"type": "thinking", "thinking": "a"}], [{"type": "thinking", "thinking": "a", "signature": ""}]],
)
def test_thoughts_that_nobody_signed_are_left_out(thoughts: Any) -> None:
    messages = [*HELLO, {"role": "assistant", "content": "b", "thinking_blocks": thoughts}]
    assert sent(messages=messages)["messages"][1]["content"] == [{"text": "b"}]


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("plan.pdf", "plan"),
        ("q3_report.v2.pdf", "q3 report v2"),
        ("ä.pdf", "document 1"),
        (None, "document 1"),
        ("x" * 300 + ".pdf", "x" * 192),
    ],
)
def test_names_of_documents(filename: str | None, name: str) -> None:
    file = {"file_data": "data:application/pdf;base64,JVBERi0=", **({} if filename is None else {"filename": filename})}
    [message] = sent(messages=said({"type": "file", "file": file}))["messages"]
    assert message["content"][0]["document"]["name"] == name
