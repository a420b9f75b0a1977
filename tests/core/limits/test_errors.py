import json
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from completions_mw.core.budgets.errors import budget_exceeded_error
from completions_mw.core.charging.max_cost import max_cost_exceeded_error, unpriced_error
from completions_mw.core.limits.errors import rate_limit_error, tokens_too_large_error
from completions_mw.core.resilience.store_health import unavailable_error
from completions_mw.errors import GatewayError, error_response

CENT = 10_000_000
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)
NO_RETRY = (("x-should-retry", "false"),)


def wire(error: GatewayError) -> tuple[int, dict[str, Any], tuple[tuple[str, str], ...]]:
    """Return status, error object and headers as they leave the process."""
    response = error_response(error)
    assert isinstance(response.body, bytes)
    assert response.headers[:2] == (("content-type", "application/json"), ("x-completions-error-source", "gateway"))
    return response.status, json.loads(response.body)["error"], response.headers[2:]


def test_requests_per_minute() -> None:
    assert wire(rate_limit_error("gpt-4o-mini", "acme", "requests", 60, 500, 500, 1, 120)) == (
        429,
        {
            "message": "Rate limit reached for gpt-4o-mini in organization acme on requests per min (RPM): "
            "Limit 500, Used 500, Requested 1. Please try again in 120ms.",
            "type": "requests",
            "param": None,
            "code": "rate_limit_exceeded",
        },
        (("retry-after", "1"), ("retry-after-ms", "120")),
    )


def test_tokens_per_minute() -> None:
    assert wire(rate_limit_error("m", "acme", "tokens", 60, 10_000, 8554, 3082, 9816)) == (
        429,
        {
            "message": "Rate limit reached for m in organization acme on tokens per min (TPM): "
            "Limit 10000, Used 8554, Requested 3082. Please try again in 9.816s.",
            "type": "tokens",
            "param": None,
            "code": "rate_limit_exceeded",
        },
        (("retry-after", "10"), ("retry-after-ms", "9816")),
    )


def test_concurrent_requests() -> None:
    assert wire(rate_limit_error("m", "acme", "concurrency", 0, 8, 8, 1, 1000)) == (
        429,
        {
            "message": "Rate limit reached for m in organization acme on concurrent requests: "
            "Limit 8, Used 8, Requested 1. Please try again in 1s.",
            "type": "requests",
            "param": None,
            "code": "rate_limit_exceeded",
        },
        (("retry-after", "1"), ("retry-after-ms", "1000")),
    )


@pytest.mark.parametrize(
    ("kind", "seconds", "words"),
    [
        ("requests", 1, "requests per second (RPS)"),
        ("requests", 60, "requests per min (RPM)"),
        ("tokens", 60, "tokens per min (TPM)"),
        ("requests", 3600, "requests per hour (RPH)"),
        ("tokens", 86_400, "tokens per day (TPD)"),
        ("requests", 300, "requests per 5 minutes"),
        ("requests", 10, "requests per 10 seconds"),
        ("tokens", 90, "tokens per 90 seconds"),
        ("tokens", 7200, "tokens per 2 hours"),
        ("requests", 30 * 86_400, "requests per 30 days"),
    ],
)
def test_windows_in_words(kind: Literal["requests", "tokens"], seconds: int, words: str) -> None:
    assert f" on {words}: Limit 5, " in rate_limit_error("m", "t", kind, seconds, 5, 5, 1, 1).message


@pytest.mark.parametrize(
    ("wait_ms", "text", "seconds", "milliseconds"),
    [
        (0, "1ms", "1", "1"),
        (-3, "1ms", "1", "1"),
        (1000, "1s", "1", "1000"),
        (1001, "1.001s", "2", "1001"),
        (60_000, "1m0s", "60", "60000"),
        (5_011_000, "1h23m31s", "60", "60000"),
    ],
)
def test_the_advice_to_wait_is_exact_up_to_a_minute(wait_ms: int, text: str, seconds: str, milliseconds: str) -> None:
    error = rate_limit_error("m", "t", "requests", 60, 5, 5, 1, wait_ms)
    assert error.message.endswith(f"Please try again in {text}.")
    advice = (("retry-after", seconds), ("retry-after-ms", milliseconds))
    assert error.headers == (advice if wait_ms <= 60_000 else (*advice, ("x-should-retry", "false")))


def test_a_request_that_is_too_large_for_the_window() -> None:
    assert wire(tokens_too_large_error("gpt-4o", "acme", 60, 30_000, 30_601)) == (
        429,
        {
            "message": "Request too large for gpt-4o in organization acme on tokens per min (TPM): Limit 30000, Requested 30601. "
            "The input or output tokens must be reduced in order to run successfully.",
            "type": "tokens",
            "param": None,
            "code": "rate_limit_exceeded",
        },
        NO_RETRY,
    )


def test_a_spent_budget() -> None:
    assert wire(budget_exceeded_error("key", 1000 * CENT, 1000 * CENT, 0, CENT, "month", DECEMBER)) == (
        429,
        {
            "message": "Budget limit exceeded: this API key has spent $10.00 of its $10.00 monthly budget. "
            "It resets at 2026-12-01T00:00:00Z.",
            "type": "insufficient_quota",
            "param": None,
            "code": "insufficient_quota",
        },
        NO_RETRY,
    )


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (
            ("caller", 1000 * CENT, 1001 * CENT, 5 * CENT, CENT, "day", DECEMBER),
            "this caller has spent $10.01 of its $10.00 daily budget. It resets at 2026-12-01T00:00:00Z.",
        ),
        (
            ("tenant", 1000 * CENT, 998 * CENT, 0, 5 * CENT, "week", DECEMBER),
            "this tenant has spent $9.98 of its $10.00 weekly budget, and this request may cost $0.05. It resets at 2026-12-01T00:00:00Z.",
        ),
        (
            ("key", 100 * CENT, 50 * CENT, 48 * CENT, 5 * CENT, "hour", DECEMBER),
            "this API key has spent $0.50 of its $1.00 hourly budget, $0.48 is reserved for its other requests, "
            "and this request may cost $0.05. It resets at 2026-12-01T00:00:00Z.",
        ),
        (("key", CENT, CENT, 0, 1, "total", None), "this API key has spent $0.01 of its $0.01 total budget."),
        (
            ("key", CENT, 0, 0, CENT + 1, "total", None),
            "this API key has spent $0.00 of its $0.01 total budget, and this request may cost $0.010000001.",
        ),
    ],
    ids=["overspent", "does not fit", "reserved", "total", "too dear for ever"],
)
def test_a_budget_says_what_is_spent_and_what_is_asked(values: tuple[Any, ...], text: str) -> None:
    error = budget_exceeded_error(*values)
    assert error.message == f"Budget limit exceeded: {text}"
    assert error.headers == NO_RETRY


def test_a_request_that_may_cost_too_much() -> None:
    assert wire(max_cost_exceeded_error(10 * CENT, 12 * CENT + 500_000)) == (
        400,
        {
            "message": "This request may cost $0.1205, and a single request may cost $0.10 at most. "
            "Reduce the input or the maximum of output tokens.",
            "type": "invalid_request_error",
            "param": None,
            "code": "max_cost_exceeded",
        },
        (),
    )


def test_a_model_without_a_price() -> None:
    assert wire(unpriced_error("m")) == (
        403,
        {
            "message": "The model `m` cannot be used because it has no price.",
            "type": "invalid_request_error",
            "param": None,
            "code": "model_not_priced",
        },
        (),
    )


def test_a_store_that_is_down() -> None:
    assert wire(unavailable_error("Not now.", "budget_unavailable")) == (
        503,
        {"message": "Not now.", "type": "server_error", "param": None, "code": "budget_unavailable"},
        (("retry-after", "1"),),
    )


@pytest.mark.parametrize(
    "error",
    [
        rate_limit_error("m", "t", "requests", 60, 5, 5, 1, 1),
        tokens_too_large_error("m", "t", 60, 5, 6),
        budget_exceeded_error("key", 1, 1, 0, 1, "total", None),
        unavailable_error("Not now.", "rate_limit_unavailable"),
    ],
    ids=["limit", "size", "budget", "store"],
)
def test_no_other_target_is_tried(error: GatewayError) -> None:
    assert not error.next_target


@given(st.text(st.characters(), max_size=600), st.text(st.characters(), max_size=600))
def test_any_name_can_be_told(model: str, tenant: str) -> None:
    _, body, headers = wire(rate_limit_error(model, tenant, "requests", 60, 5, 5, 1, 120))
    assert len(body["message"]) < 700
    assert headers == (("retry-after", "1"), ("retry-after-ms", "120"))


def test_a_tenant_that_is_no_unicode() -> None:
    assert "in organization a?b on" in rate_limit_error("m", "a\ud800b", "requests", 60, 5, 5, 1, 1).message


def test_the_host_app_is_no_organization() -> None:
    assert rate_limit_error("m", "", "requests", 60, 5, 5, 1, 1).message.startswith(
        "Rate limit reached for m on requests per min (RPM): Limit 5,"
    )
    assert tokens_too_large_error("m", "", 60, 5, 6).message.startswith("Request too large for m on tokens per min (TPM): Limit 5,")
