"""Amazon Bedrock: what the corpus does not show."""

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic_core import from_json, to_json

from completions_mw.errors import GatewayError, InvalidRequestError
from completions_mw.providers import bedrock
from completions_mw.providers.registry import upstream_of
from completions_mw.settings import BedrockSettings, Settings
from completions_mw.sse import DONE, Event
from tests.faults.conftest import KEY, AsyncClient, BlockingClient
from tests.providers.corpus.bedrock import FORMAT
from tests.providers.corpus.case import case
from tests.providers.corpus.replay import reply
from tests.support.canned import CannedTransport, whole
from tests.support.event_frames import event_frame, exception_frame, frame

SECRET = "key-canary-upstream"
HELLO = [{"role": "user", "content": "hé"}]
CLAUDE = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "amazon.nova-2-lite-v1:0"
LLAMA = "meta.llama3-3-70b-instruct-v1:0"
STREAM = FORMAT.encode(case("bedrock", "plain").events)


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


def streamed(*pieces: bytes, max_event_bytes: int = 10_000) -> list[Event]:
    """Return the events of a stream.

    Raises:
        GatewayError: the stream failed.
    """
    translator = bedrock.open_stream(max_event_bytes)
    told: list[Event] = []
    for piece in pieces:
        told += translator.feed(piece)
        if translator.fault is not None:
            raise translator.fault
        if told and told[-1] is DONE:
            return told
    told += translator.end()
    if translator.fault is not None:
        raise translator.fault
    return told


def test_no_damaged_byte_is_taken_for_an_answer() -> None:
    """A flipped bit is found by a checksum, wherever it is."""
    assert streamed(STREAM)[-1] is DONE
    for at in range(len(STREAM)):
        damaged = bytearray(STREAM)
        damaged[at] ^= 0x10
        with pytest.raises(GatewayError) as caught:
            streamed(bytes(damaged))
        assert caught.value.code in ("upstream_protocol_error", "upstream_incomplete", "upstream_too_large"), at


MALFORMED = {
    "no JSON": frame({":event-type": "messageStart", ":message-type": "event"}, b"{"),
    "a list": frame({":event-type": "messageStart", ":message-type": "event"}, b"[]"),
    "no type": frame({":message-type": "event"}, b"{}"),
    "no start": event_frame("contentBlockStart", {"contentBlockIndex": 0}),
    "a call that did not begin": event_frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"toolUse": {"input": "{}"}}}),
    "no reason": event_frame("messageStop", {}),
    "headers beyond their end": frame({"a": "b"}, b"")[:12] + b"\x09" + frame({"a": "b"}, b"")[13:],
    "text": b"HTTP/1.1 500 Internal Server Error\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_stream_is_a_failure(name: str) -> None:
    with pytest.raises(GatewayError) as caught:
        streamed(MALFORMED[name])
    assert caught.value.code == "upstream_protocol_error"


def test_headers_of_all_types_are_read() -> None:
    kinds = {0: b"", 1: b"", 2: b"\x01", 3: b"\x01" * 2, 4: b"\x01" * 4, 5: b"\x01" * 8, 6: b"\x00\x02ab", 8: b"\x01" * 8, 9: b"\x01" * 16}
    others = b"".join(b"\x01a" + bytes([kind]) + value for kind, value in kinds.items())
    assert streamed(frame({":event-type": "messageStart", ":message-type": "event"}, b'{"role":"assistant"}', others), STREAM)[-1] is DONE
    with pytest.raises(GatewayError):
        streamed(frame({":event-type": "messageStart", ":message-type": "event"}, b"{}", b"\x01a\x0a"))


def test_a_frame_has_a_bound() -> None:
    with pytest.raises(GatewayError) as caught:
        streamed(STREAM, max_event_bytes=100)
    assert caught.value.code == "upstream_too_large"


def test_events_of_later_versions_are_left_out() -> None:
    assert streamed(event_frame("newEvent", {"a": 1}), STREAM) == streamed(STREAM)


def test_an_answer_without_its_usage_was_cut() -> None:
    events = case("bedrock", "plain").events
    with pytest.raises(GatewayError) as caught:
        streamed(FORMAT.encode(events[:-1]))
    assert caught.value.code == "upstream_incomplete"


def test_reasoning_in_a_stream() -> None:
    def delta(index: int, **content: Any) -> bytes:
        return event_frame("contentBlockDelta", {"contentBlockIndex": index, "delta": {"reasoningContent": content}})

    def stop(index: int) -> bytes:
        return event_frame("contentBlockStop", {"contentBlockIndex": index})

    # An unsigned thought, a hidden one, and a signed one.
    told = streamed(
        *(delta(0, text="a"), stop(0), delta(1, redactedContent="aGk="), stop(1), delta(2, text="b"), delta(2, signature="c2ln"), stop(2)),
        STREAM,
    )
    deltas = [event.data["choices"][0]["delta"] for event in told[:4]]
    assert deltas == [
        {"reasoning_content": "a"},
        {"thinking_blocks": [{"index": 0, "type": "redacted_thinking", "data": "aGk="}]},
        {"reasoning_content": "b"},
        {"thinking_blocks": [{"index": 1, "type": "thinking", "thinking": "b", "signature": "c2ln"}]},
    ]


MESSAGE = case("bedrock", "plain").answer


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"text"', b"{}", to_json({**MESSAGE, "usage": {}}), to_json({**MESSAGE, "output": {"message": {}}})],
)
def test_a_malformed_answer_is_a_failure(body: bytes) -> None:
    with pytest.raises(GatewayError) as caught:
        bedrock.parse_completion(body)
    assert caught.value.code == "upstream_protocol_error"


def test_other_blocks_reach_the_client() -> None:
    cited = {"citationsContent": {"content": [{"text": "Here. "}], "citations": [{"title": "t"}]}}
    redacted = {"reasoningContent": {"redactedContent": "aGk="}}
    blocks = [redacted, cited, {"text": "There."}]
    body = {**MESSAGE, "output": {"message": {"role": "assistant", "content": blocks}}, "serviceTier": {"type": "flex"}}
    data = bedrock.parse_completion(to_json(body)).data
    message = data["choices"][0]["message"]
    assert (message["content"], message["content_parts"], data["service_tier"]) == ("Here. There.", [cited], "flex")
    assert message["thinking_blocks"] == [{"type": "redacted_thinking", "data": "aGk="}]


@pytest.mark.parametrize("reason", ["malformed_model_output", "malformed_tool_use"])
def test_an_answer_that_is_not_complete_is_no_success(reason: str) -> None:
    client = BlockingClient(gateway_settings(), transport=CannedTransport(lambda _: whole({**MESSAGE, "stopReason": reason})))
    answer = client.post("m")
    assert (answer.status, answer.error["code"]) == (502, "upstream_incomplete")
    client.close()


@pytest.mark.parametrize(
    ("status", "name", "text", "became", "code", "param"),
    [
        (400, "ValidationException", "The text field is blank.", 400, None, None),
        (400, "ValidationException", "Input is too long for requested model.", 400, "context_length_exceeded", "messages"),
        (400, "ValidationException", "Value '2' at 'inferenceConfig.temperature' failed", 400, None, "temperature"),
        (400, "ValidationException", "messages.0.content.1.image: could not decode", 400, None, "messages"),
        (400, "ValidationException", "The provided model identifier is invalid.", 404, "model_not_found", None),
        (400, "SerializationException", "could not decode the image", 400, None, None),
        (400, "IncompleteSignatureException", "no", 502, "upstream_error", None),
        (403, "AccessDeniedException", "User: arn:aws:iam::123456789012:user/a is not authorized", 502, "upstream_error", None),
        (403, "ExpiredTokenException", "expired", 502, "upstream_error", None),
        (404, "ResourceNotFoundException", "no such profile", 404, "model_not_found", None),
        (408, "ModelTimeoutException", "late", 504, "upstream_timeout", None),
        (424, "ModelErrorException", "failed", 502, "upstream_error", None),
        (429, "ThrottlingException", "Too many requests", 429, "upstream_rate_limited", None),
        (429, "ModelNotReadyException", "not ready", 429, "upstream_rate_limited", None),
        (500, "InternalServerException", "failed", 502, "upstream_error", None),
        (503, "ServiceUnavailableException", "busy", 503, "upstream_overloaded", None),
    ],
)
def test_errors(status: int, name: str, text: str, became: int, code: str | None, param: str | None) -> None:
    headers = (("x-amzn-errortype", f"{name}:http://internal.amazon.com/coral/com.amazon.bedrock/"),)
    error = bedrock.parse_error(status, headers, to_json({"message": text}))
    assert (error.status, error.code, error.param, error.upstream_code) == (became, code, param, name)
    for shown in ("inferenceConfig", "messages.0", "arn:aws"):
        assert shown not in error.message


@pytest.mark.parametrize("name", ["validationException", "throttlingException", "internalServerException", "serviceUnavailableException"])
def test_errors_in_a_stream_are_those_of_answers(name: str) -> None:
    with pytest.raises(GatewayError) as caught:
        streamed(exception_frame(name, {"message": "no"}))
    named = name[0].upper() + name[1:]
    status = {"ValidationException": 400, "ThrottlingException": 429, "ServiceUnavailableException": 503}.get(named, 500)
    error = bedrock.parse_error(status, (("x-amzn-errortype", named),), b'{"Message": "no"}')
    assert (type(caught.value), caught.value.code, caught.value.message) == (type(error), error.code, error.message)


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"[7]", b'{"message": 7}'])
def test_errors_of_who_stands_before_the_api(body: bytes) -> None:
    assert bedrock.parse_error(503, (), body).status == 502
    with pytest.raises(GatewayError):
        streamed(frame({":message-type": "error", ":error-code": "Unknown"}, body))


PRICES = {"input": 3, "output": 15, "cached_input": 0.3, "cache_write": 3.75}


def gateway_settings(**more: Any) -> Settings:
    return Settings.from_mapping(
        {
            "providers": {"up": {"api": "bedrock", "region": "eu-central-1", "api_key": SECRET}, "echo": {"api": "echo"}},
            "models": {
                "m": {"targets": [f"up/{CLAUDE}"], "max_output_tokens": 77, "prices": PRICES},
                "rescued": {"targets": [f"up/{CLAUDE}", "echo/any"], "prices": PRICES},
            },
            "keys": {"client": {"secret": KEY, **more}},
            "stores": {"ledger": "memory://"},
        }
    )


both_gateways = pytest.mark.parametrize("kind", [BlockingClient, AsyncClient])


def replaying(name: str) -> CannedTransport:
    """Return a transport that answers each request with a case, in the form that it asks for."""
    return CannedTransport(lambda asked: reply(FORMAT, case("bedrock", name), stream=asked.url.endswith("/converse-stream")))


@both_gateways
def test_a_budget_moves_by_the_usage_with_the_tokens_of_the_cache(kind: type[BlockingClient | AsyncClient]) -> None:
    transport = replaying("usage")
    client = kind(gateway_settings(budget={"usd": 1, "period": "total"}), transport=transport)
    answers = [client.post("m", stream=stream) for stream in (False, True)]
    assert [(answer.status, answer.text) for answer in answers] == [(200, "Again.")] * 2
    assert [from_json(request.body)["inferenceConfig"] for request in transport.requests] == [{"maxTokens": 77}] * 2
    if isinstance(client, AsyncClient):
        [balance] = client.runner.run(client.gateway.balances("client"))
    else:
        [balance] = client.gateway.balances("client")
    # Of 20 tokens of the prompt 10 were cached and 2 written to the cache; 6 were answered: in nano-dollars, twice.
    assert balance.spent == 2 * (8 * 3000 + 10 * 300 + 2 * 3750 + 6 * 15000)
    client.close()


@both_gateways
def test_another_target_answers_for_one_at_its_limit(kind: type[BlockingClient | AsyncClient]) -> None:
    client = kind(gateway_settings(), transport=replaying("error"))
    refused = client.post("m")
    assert (refused.status, refused.error["code"]) == (429, "upstream_rate_limited")
    assert client.post("rescued").text == "one two three"
    client.close()
