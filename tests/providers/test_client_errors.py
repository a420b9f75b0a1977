"""What the errors of OpenAI and of compatible servers mean for a client."""

import pytest
from pydantic_core import to_json

from completions_mw.errors import GatewayError
from completions_mw.providers.client_errors import parse_error, reported_error


def error_of(status: int, code: str | None = None, message: str = "m", headers: tuple[tuple[str, str], ...] = ()) -> GatewayError:
    body = to_json({"error": {"message": message, "type": "t", "param": "p", "code": code}})
    return parse_error(status, headers, body)


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
        (529, None, 503, "upstream_overloaded"),
        (204, None, 502, "upstream_error"),
        (307, None, 502, "upstream_error"),
    ],
)
def test_what_an_upstream_status_means_for_our_client(status: int, code: str | None, ours: int, our_code: str | None) -> None:
    error = error_of(status, code)
    assert (error.status, error.code) == (ours, our_code)
    assert error.upstream_code == code


def test_advice_to_wait_is_kept() -> None:
    advice = (("retry-after", "2"), ("retry-after-ms", "1500"))
    assert error_of(429, headers=(*advice, ("x-other", "1"))).headers == advice


def test_a_limit_of_the_upstream_does_not_tell_whose_it_is() -> None:
    assert "org-" not in error_of(429, message="Rate limit reached for gpt-4o in organization org-secret").message


@pytest.mark.parametrize("body", [b"", b"<html>", b"7", b'{"error":"text"}', b'{"error":[1]}', b'{"detail":"x"}', b"\xff"])
def test_an_error_body_of_any_kind(body: bytes) -> None:
    assert parse_error(400, (), body).status == 400


@pytest.mark.parametrize(
    ("report", "message", "code"),
    [
        ({"message": "m", "type": "t", "param": "p", "code": "c"}, "m", "c"),
        ({"message": "m", "code": 400}, "m", "400"),
        ({"message": "m", "code": True}, "m", None),
        ({"message": 7, "code": {}}, "The upstream provider reported an error.", None),
        ("m", "m", None),
        (7, "The upstream provider reported an error.", None),
    ],
)
def test_an_error_inside_an_answer(report: object, message: str, code: str | None) -> None:
    error = reported_error(report)
    assert (error.status, error.message, error.code, error.upstream_code) == (502, message, code or "upstream_error", code)
