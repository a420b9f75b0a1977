"""The Vercel AI SDK (`ai` with `@ai-sdk/openai-compatible`) against a real server. The scenarios are in `node/ai.mjs`."""

import pytest

from tests.clients.node_clients import Results, install, run_script
from tests.clients.support import Endpoint

TEXT = "Hello to all of you"
USAGE = {"inputTokens": 5, "outputTokens": 5, "totalTokens": 10}
INVALID = "invalid_request_error"


@pytest.fixture(scope="module")
def results(endpoint: Endpoint) -> Results:
    install()
    return run_script("ai.mjs", endpoint)


ANSWERS: Results = {
    "generateText": {"text": TEXT, "finishReason": "stop", "usage": USAGE},
    "keepAlives": {"text": TEXT, "finishReason": "stop", "usage": USAGE},
    "streamText": {"text": TEXT, "pieces": 5, "finishReason": "stop", "usage": USAGE},
    "structured": {"valid": True},
    "tools": {"text": "21 degrees in Paris", "steps": ["tool-calls", "stop"]},
    "left": TEXT,
    "streamedTools": {"text": "21 degrees in Paris", "steps": ["tool-calls", "stop"]},
}

REFUSED = {
    "wrongKey": (401, INVALID, "invalid_api_key", 1),
    "unknownModel": (404, INVALID, "model_not_found", 1),
    "rateLimit": (429, "requests", "upstream_rate_limited", 3),
}
"""Status, type, code, and how many requests were sent."""

FAILED = {
    "errorEvent": "The engine is currently overloaded, please try again later",
    "truncated": "The upstream provider ended its answer before it was complete.",
}
"""Text of the error, by what the upstream does after three events."""


@pytest.mark.parametrize("name", ANSWERS)
def test_answered(results: Results, name: str) -> None:
    assert results[name] == ANSWERS[name]


@pytest.mark.parametrize("name", REFUSED)
def test_refused(results: Results, name: str) -> None:
    error = results[name]
    assert (error["status"], error["error"]["type"], error["error"]["code"], error["requests"]) == REFUSED[name]


@pytest.mark.parametrize("name", FAILED)
def test_failed_stream(results: Results, name: str) -> None:
    assert results[name] == {"text": "Hello to ", "errors": [FAILED[name]]}


def test_no_other_scenario(results: Results) -> None:
    assert set(results) == {*ANSWERS, *REFUSED, *FAILED}
