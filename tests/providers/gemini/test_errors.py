"""Errors of the Gemini API."""

from typing import Any

import pytest
from pydantic_core import to_json

from completions_mw.errors import GatewayError
from completions_mw.providers import gemini

SECRET = "key-canary-upstream"


def failure(status: int, name: str, text: str, *details: dict[str, Any]) -> dict[str, Any]:
    return {"error": {"code": status, "message": text, "status": name, "details": list(details)}}


def info(reason: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}


def streamed_bytes(raw: bytes) -> None:
    translator = gemini.open_stream(1000)
    assert translator.feed(raw) == []
    assert translator.end() == []
    if translator.fault is not None:
        raise translator.fault


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
