"""The Gemini API: what the corpus does not show."""

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic_core import from_json, to_json

from completions_mw.errors import GatewayError, InvalidRequestError
from completions_mw.providers import gemini
from completions_mw.providers.registry import upstream_of
from completions_mw.settings import GeminiSettings, Settings
from completions_mw.sse import DONE, Event
from tests.faults.conftest import KEY, AsyncClient, BlockingClient
from tests.providers.corpus.case import case
from tests.providers.corpus.format import sse
from tests.providers.corpus.gemini import FORMAT
from tests.providers.corpus.replay import reply
from tests.support.canned import CannedTransport

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
        ("auto", ["f", "g"], {"mode": "AUTO"}),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"function": {"name": "g"}}]}}, ["g"], {"mode": "ANY"}),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"function": 7}, {}, {"function": {}}]}}, [], None),
    ],
)
def test_tool_choices(choice: Any, names: list[str], config: dict[str, Any] | None) -> None:
    tools = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]
    body = sent(tools=tools, tool_choice=choice)
    declared = [one["name"] for tool in body.get("tools", ()) for one in tool["functionDeclarations"]]
    assert (declared, body.get("toolConfig", {}).get("functionCallingConfig")) == (names, config)


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


def answer(*candidates: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"candidates": list(candidates), "responseId": "r", **more}


def candidate(*parts: dict[str, Any], reason: str | None = "STOP", **more: Any) -> dict[str, Any]:
    ended = {} if reason is None else {"finishReason": reason}
    return {"content": {"role": "model", "parts": list(parts)}, **ended, **more}


def choices_of(*candidates: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    choices: list[dict[str, Any]] = gemini.parse_completion(to_json(answer(*candidates, **more))).data["choices"]
    return choices


def streamed(*events: Any) -> list[Event]:
    translator = gemini.open_stream(10_000)
    told = translator.feed(sse(events))
    if translator.fault is None:
        told += translator.end()
    if translator.fault is not None:
        raise translator.fault
    return told


def test_several_candidates() -> None:
    both = [candidate({"text": "a"}, index=0), candidate({"text": "b"}, index=1)]
    assert [(choice["index"], choice["message"]["content"]) for choice in choices_of(*both)] == [(0, "a"), (1, "b")]
    told = streamed(answer(both[1]), answer(both[0]))
    assert [[(one["index"], one["delta"]) for one in event.data["choices"]] for event in told] == [
        [(1, {"content": "b"})],
        [(0, {"content": "a"})],
    ]


def test_a_prompt_that_is_blocked() -> None:
    blocked = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4}}
    [choice] = choices_of(**blocked)
    assert (choice["message"]["content"], choice["finish_reason"]) == (None, "content_filter")
    [event, done] = streamed({"responseId": "r", **blocked})
    assert event.data["choices"] == [{"index": 0, "delta": {}, "finish_reason": "content_filter"}]
    assert event.data["usage"]["prompt_tokens"] == 4
    assert done is DONE


def test_images_of_the_model() -> None:
    [choice] = choices_of(candidate({"text": "Here: "}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}, {"executableCode": {}}))
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    assert choice["message"]["content"] == "Here: "
    assert choice["message"]["content_parts"] == [image, {"executableCode": {}}]


def test_what_the_api_says_of_its_sources() -> None:
    sources: dict[str, Any] = {"groundingMetadata": {"webSearchQueries": ["a"]}, "citationMetadata": {"citations": [{"uri": "b"}]}}
    [choice] = choices_of(candidate({"text": "a"}, **sources))
    assert sources.items() <= choice.items()


BROKEN: list[Any] = [
    {},
    {"candidates": []},
    {"candidates": 7},
    {"candidates": [7]},
    answer(candidate({"functionCall": {"args": {}}})),
    answer(candidate({"text": 7})),
    answer(candidate(7)),  # type: ignore[arg-type]
    answer(candidate({"text": "a"}), usageMetadata={"promptTokenCount": "7"}),
    answer(candidate({"text": "a"}, logprobsResult={"chosenCandidates": [{}]})),
    [],
    7,
    "text",
]


@pytest.mark.parametrize("body", BROKEN)
def test_a_malformed_answer_is_a_failure(body: Any) -> None:
    with pytest.raises(GatewayError) as caught:
        gemini.parse_completion(to_json(body))
    assert caught.value.code == "upstream_protocol_error"


@pytest.mark.parametrize("body", BROKEN[2:])
def test_a_malformed_event_is_a_failure(body: Any) -> None:
    with pytest.raises(GatewayError) as caught:
        streamed(body)
    assert caught.value.code == "upstream_protocol_error"


@pytest.mark.parametrize("word", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "OTHER", "MALFORMED_RESPONSE", None])
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_is_not_complete_is_no_success(word: str | None, stream: bool) -> None:
    transport = CannedTransport(lambda _: replying(answer(candidate({"text": "Hel"}, reason=word)), stream))
    client = BlockingClient(gateway_settings(), transport=transport)
    got = client.post("m", stream=stream)
    assert b"[DONE]" not in got.body
    assert got.error["code"] == "upstream_incomplete"
    client.close()


def failure(status: int, name: str, text: str, *details: dict[str, Any]) -> dict[str, Any]:
    return {"error": {"code": status, "message": text, "status": name, "details": list(details)}}


def info(reason: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}


@pytest.mark.parametrize(
    ("reported", "became", "code"),
    [
        (failure(400, "INVALID_ARGUMENT", "Unable to process input image."), 400, None),
        (
            failure(400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum number of tokens allowed (8)."),
            400,
            "context_length_exceeded",
        ),
        (failure(400, "INVALID_ARGUMENT", f"API key not valid: {SECRET}", info("API_KEY_INVALID")), 502, "upstream_error"),
        (failure(400, "FAILED_PRECONDITION", "User location is not supported"), 502, "upstream_error"),
        (failure(403, "PERMISSION_DENIED", "no"), 502, "upstream_error"),
        (failure(404, "NOT_FOUND", "models/m is not found"), 404, "model_not_found"),
        (failure(429, "RESOURCE_EXHAUSTED", "quota of project 7"), 429, "upstream_rate_limited"),
        (failure(500, "INTERNAL", "An internal error"), 502, "upstream_error"),
        (failure(503, "UNAVAILABLE", "overloaded"), 503, "upstream_overloaded"),
        (failure(504, "DEADLINE_EXCEEDED", "late"), 504, "upstream_timeout"),
    ],
)
def test_errors(reported: dict[str, Any], became: int, code: str | None) -> None:
    told = reported["error"]
    errors = [gemini.parse_error(told["code"], (), to_json(reported)), gemini.parse_error(told["code"], (), to_json([reported]))]
    with pytest.raises(GatewayError) as caught:
        gemini.parse_completion(to_json(reported))
    with pytest.raises(GatewayError) as cut:
        # An error to which the end of the stream came before the blank line.
        streamed_bytes(b"data: " + to_json(reported))
    for error in (*errors, caught.value, cut.value):
        assert (error.status, error.code, error.upstream_code) == (became, code, told["status"])
        assert error.param == ("messages" if code == "context_length_exceeded" else None)
        assert SECRET not in error.message


@pytest.mark.parametrize(
    ("text", "ours", "param"),
    [
        ("Invalid value at 'contents[0].parts[1].inline_data.data'", "Invalid value at 'messages'", "messages"),
        ("* GenerateContentRequest.contents: contents is not specified", "* messages: messages is not specified", "messages"),
        ("* GenerateContentRequest.generation_config.response_schema.properties: empty", "* response_format: empty", "response_format"),
        ("generationConfig.thinkingConfig.thinkingLevel is wrong", "reasoning_effort is wrong", "reasoning_effort"),
        ("* tools[0].function_declarations[0].name: bad, for contents[0]", "* tools: bad, for messages", "tools"),
        ("nothing of that", "nothing of that", None),
    ],
)
def test_errors_name_fields_as_the_client_does(text: str, ours: str, param: str | None) -> None:
    error = gemini.parse_error(400, (), to_json(failure(400, "INVALID_ARGUMENT", text)))
    assert (error.message, error.param) == (ours, param)


def streamed_bytes(raw: bytes) -> None:
    translator = gemini.open_stream(1000)
    assert translator.feed(raw) == []
    assert translator.end() == []
    if translator.fault is not None:
        raise translator.fault


@pytest.mark.parametrize(("delay", "seconds"), [("6.5s", 7), ("12s", 12), ("soon", None), (7, None), ("s", None)])
def test_advice_on_retries(delay: Any, seconds: int | None) -> None:
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
    error = gemini.parse_error(429, (), to_json(failure(429, "RESOURCE_EXHAUSTED", "quota", retry)))
    assert dict(error.headers).get("retry-after") == (None if seconds is None else str(seconds))


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{", b'{"error": "no"}', b'{"error": {"details": [7, {"reason": []}], "status": 7}}', b"[7]"]
)
def test_errors_of_who_stands_before_the_api(body: bytes) -> None:
    assert gemini.parse_error(503, (), body).status == 502


def test_calls_without_an_id_get_one() -> None:
    call = {"functionCall": {"name": "f", "args": {"a": 1}}}
    body = answer(candidate(call, call))
    client = BlockingClient(gateway_settings(), transport=CannedTransport(lambda _: replying(body, stream=False)))
    calls = client.post("m").json["choices"][0]["message"]["tool_calls"]
    assert [one["function"] for one in calls] == [{"name": "f", "arguments": '{"a":1}'}] * 2
    assert len({one["id"] for one in calls}) == 2
    client.close()


def replying(body: dict[str, Any], stream: bool) -> Any:
    from tests.support.canned import Reply, whole

    return Reply([sse([body])], "text/event-stream") if stream else whole(body)


PRICES = {"input": 3, "output": 15, "cached_input": 0.3, "reasoning": 20}


def gateway_settings(**more: Any) -> Settings:
    return Settings.from_mapping(
        {
            "providers": {"up": {"api": "gemini", "api_key": SECRET}, "echo": {"api": "echo"}},
            "models": {
                "m": {"targets": [f"up/{NEW}"], "max_output_tokens": 77, "prices": PRICES},
                "rescued": {"targets": [f"up/{NEW}", "echo/any"], "prices": PRICES},
            },
            "keys": {"client": {"secret": KEY, **more}},
            "stores": {"ledger": "memory://"},
        }
    )


both_gateways = pytest.mark.parametrize("kind", [BlockingClient, AsyncClient])


def replaying(name: str) -> CannedTransport:
    """Return a transport that answers each request with a case, in the form that it asks for."""
    return CannedTransport(lambda asked: reply(FORMAT, case("gemini", name), stream="alt=sse" in asked.url))


@both_gateways
def test_a_budget_moves_by_the_usage_with_thoughts_and_the_tokens_of_the_cache(kind: type[BlockingClient | AsyncClient]) -> None:
    transport = replaying("usage")
    client = kind(gateway_settings(budget={"usd": 1, "period": "total"}), transport=transport)
    answers = [client.post("m", stream=stream) for stream in (False, True)]
    assert [(answer.status, answer.text) for answer in answers] == [(200, "Again.")] * 2
    assert [from_json(request.body)["generationConfig"] for request in transport.requests] == [{"maxOutputTokens": 77}] * 2
    if isinstance(client, AsyncClient):
        [balance] = client.runner.run(client.gateway.balances("client"))
    else:
        [balance] = client.gateway.balances("client")
    # Of 23 tokens of the prompt 12 were cached; 6 were answered and 64 thought: in nano-dollars, twice.
    assert balance.spent == 2 * (11 * 3000 + 12 * 300 + 6 * 15000 + 64 * 20000)
    client.close()


@both_gateways
def test_another_target_answers_for_one_at_its_limit(kind: type[BlockingClient | AsyncClient]) -> None:
    client = kind(gateway_settings(), transport=replaying("error"))
    refused = client.post("m")
    assert (refused.status, refused.error["code"], refused.headers["retry-after"]) == (429, "upstream_rate_limited", "7")
    assert client.post("rescued").text == "one two three"
    client.close()
