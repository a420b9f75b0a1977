"""Errors of Anthropic's API, which its SDK reads too."""

import pytest
from anthropic import APIStatusError
from pydantic_core import to_json

from completions_mw.errors import GatewayError
from completions_mw.providers import anthropic
from tests.providers.corpus.anthropic import ASKED, sdk
from tests.providers.corpus.format import sse

SECRET = "sk-canary-upstream"
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


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
    body = to_json(OVERLOADED)
    assert anthropic.parse_error(529, (("retry-after", "9"),), body).retry_after == 9
    assert anthropic.parse_error(529, (), body).retry_after == 5
    assert anthropic.parse_error(529, (), b"<html>").next_target


def test_an_error_in_place_of_an_answer() -> None:
    with pytest.raises(GatewayError) as caught:
        anthropic.parse_completion(to_json(OVERLOADED))
    assert caught.value.status == 503
