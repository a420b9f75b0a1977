"""What the Gemini API is asked, beyond the corpus."""

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic_core import from_json

from completions_mw.errors import InvalidRequestError
from completions_mw.providers import gemini
from completions_mw.providers.registry import upstream_of
from completions_mw.settings import GeminiSettings, Settings

SECRET = "key-canary-upstream"
HELLO = [{"role": "user", "content": "hé"}]
NEW, OLD = "gemini-3.5-flash", "gemini-2.5-flash"


def provider(**more: Any) -> GeminiSettings:
    found = Settings(providers={"google": {"api": "gemini", "api_key": SECRET, **more}}).providers["google"]
    assert isinstance(found, GeminiSettings)
    return found


def request(model: str = NEW, max_tokens: int | None = None, **fields: Any) -> tuple[str, dict[str, Any]]:
    """Return the URL and the body of the upstream's request."""
    upstream = upstream_of(provider())
    asked = gemini.build_request(upstream.endpoint, upstream.capabilities, model, {"messages": HELLO, **fields}, max_tokens)
    return asked.url, from_json(asked.body)


def sent(model: str = NEW, **fields: Any) -> dict[str, Any]:
    return request(model, **fields)[1]


def refusal(model: str = NEW, **fields: Any) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        sent(model, **fields)
    # Another target may be able to answer.
    assert caught.value.next_target
    return caught.value


def test_the_key_is_a_header() -> None:
    endpoint = gemini.build_endpoint(provider())
    assert dict(endpoint.headers)["x-goog-api-key"] == SECRET
    assert SECRET in endpoint.secrets


def test_tuned_models_have_a_path_of_their_own() -> None:
    assert request("tunedModels/mine")[0].endswith("/v1beta/tunedModels/mine:generateContent")


@pytest.mark.parametrize(
    ("model", "effort", "config"),
    [
        (OLD, "none", {"thinkingBudget": 0, "includeThoughts": False}),
        (OLD, "minimal", {"thinkingBudget": 1024, "includeThoughts": True}),
        (OLD, "high", {"thinkingBudget": 24576, "includeThoughts": True}),
        (NEW, "minimal", {"thinkingLevel": "MINIMAL", "includeThoughts": True}),
        ("gemini-flash-latest", "xhigh", {"thinkingLevel": "XHIGH", "includeThoughts": True}),
        ("gemini-10-pro", "low", {"thinkingLevel": "LOW", "includeThoughts": True}),
        (NEW, None, None),
    ],
)
def test_thinking_in_the_words_of_each_generation(model: str, effort: str | None, config: Mapping[str, Any] | None) -> None:
    fields = {} if effort is None else {"reasoning_effort": effort}
    assert sent(model, **fields)["generationConfig"].get("thinkingConfig") == config


def said(*parts: Any, role: str = "user", **members: Any) -> list[dict[str, Any]]:
    return [{"role": role, "content": list(parts), **members}]


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("param", "fields"),
    [
        ("messages[0].content[0].image_url.url", {"messages": said({"type": "image_url", "image_url": {"url": "data:image/png,AAAA"}})}),
        (
            "messages[0].content[1].image_url.url",
            {"messages": said({"type": "text", "text": ""}, {"type": "image_url", "image_url": {"url": "data:,"}})},
        ),
        ("messages[0].content[0].type", {"messages": said({"type": "video_url"})}),
        ("messages[0].content[0].file.file_id", {"messages": said({"type": "file", "file": {"file_id": "file-1"}})}),
        ("messages[0].content[0].file.file_data", {"messages": said({"type": "file", "file": {"file_data": "AAAA"}})}),
        ("messages[0].role", {"messages": [{"role": "function", "name": "f", "content": "1"}]}),
        ("messages[0].function_call", {"messages": said(role="assistant", function_call={"name": "f", "arguments": "{}"})}),
        ("messages[0].audio", {"messages": said(role="assistant", audio={"id": "a"})}),
        (
            "messages[0].tool_calls[0].function.arguments",
            {"messages": said(role="assistant", tool_calls=[{**CALL, "function": {"name": "f", "arguments": "{"}}])},
        ),
        ("tools[0].type", {"tools": [{"type": "custom", "custom": {"name": "shell"}}]}),
        ("tool_choice.type", {"tool_choice": {"type": "custom", "custom": {"name": "shell"}}}),
        ("reasoning_effort", {"reasoning_effort": "none"}),
        ("reasoning_effort", {"model": OLD, "reasoning_effort": "xhigh"}),
    ],
)
def test_what_the_api_has_no_words_for_is_refused(param: str, fields: dict[str, Any]) -> None:
    error = refusal(**fields)
    assert (error.param, error.status) == (param, 400)
    assert param in error.message


@pytest.mark.parametrize(
    ("choice", "names", "config"),
    [
        ("none", ["f", "g"], {"mode": "NONE"}),
        ("auto", ["f", "g"], None),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"function": {"name": "g"}}]}}, ["g"], {"mode": "ANY"}),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"function": 7}, {}, {"function": {}}]}}, [], None),
    ],
)
def test_tool_choices(choice: Any, names: list[str], config: dict[str, Any] | None) -> None:
    tools = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]
    body = sent(tools=tools, tool_choice=choice)
    declared = [one["name"] for tool in body.get("tools", ()) for one in tool["functionDeclarations"]]
    assert (declared, body.get("toolConfig", {}).get("functionCallingConfig")) == (names, config)


@pytest.mark.parametrize(("choice", "mode"), [("auto", "VALIDATED"), ("required", "ANY"), ("none", "NONE")])
def test_strict_tools_are_validated(choice: str, mode: str) -> None:
    tools = [{"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {"name": "g", "strict": True}}]
    assert sent(tools=tools, tool_choice=choice)["toolConfig"] == {"functionCallingConfig": {"mode": mode}}


@pytest.mark.parametrize(
    "lost", [{}, {"extra_content": None}, {"extra_content": [7]}, {"extra_content": {"google": {"thought_signature": 7}}}]
)
def test_calls_without_a_signature(lost: dict[str, Any]) -> None:
    messages = [
        {"role": "assistant", "content": None, "tool_calls": [{**CALL, **lost}, CALL]},
        {"role": "tool", "tool_call_id": "c", "content": "1"},
    ]
    parts = sent(NEW, messages=messages)["contents"][0]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == ["skip_thought_signature_validator", None]
    parts = sent(OLD, messages=messages)["contents"][0]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == [None, None]


def test_instructions_alone_are_the_users_turn() -> None:
    body = sent(messages=[{"role": "system", "content": "Greet."}])
    assert body["contents"] == [{"role": "user", "parts": [{"text": "Greet."}]}]
    assert "systemInstruction" not in body


def test_the_gateways_maximum_stands() -> None:
    assert sent(max_tokens=5, max_completion_tokens=9)["generationConfig"] == {"maxOutputTokens": 5}


def test_what_the_operator_forwards_is_sent_as_it_is() -> None:
    body = sent(cachedContent="cachedContents/a", generationConfig={"maxOutputTokens": 10**6}, max_tokens=5)
    assert (body["cachedContent"], body["generationConfig"]) == ("cachedContents/a", {"maxOutputTokens": 5})
