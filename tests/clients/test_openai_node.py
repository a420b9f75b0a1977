"""openai-node against a real server. The scenarios are in `node/openai.mjs`."""

from typing import Any

import pytest

from tests.clients.node_clients import Results, install, run_script
from tests.clients.support import Endpoint

TEXT = "Hello to all of you"
CALL = '{"text": "Paris"}'
INVALID = "invalid_request_error"


@pytest.fixture(scope="module")
def results(endpoint: Endpoint) -> Results:
    install()
    return run_script("openai.mjs", endpoint)


ANSWERS: Results = {
    "chat": {
        "contents": [TEXT, TEXT],
        "model": "gpt-3.5-turbo",
        "usage": {"prompt_tokens": 5, "completion_tokens": 10, "total_tokens": 15},
        "sameId": True,
    },
    "embeddings": {
        "vectors": [[1, 0.25, 0.25], [0.375, 0.25, 0.25]],
        "same": True,
        "encoded": "string",
        "model": "text-embedding-3-small",
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    },
    "keepAlives": {"text": TEXT, "ten": True, "content": TEXT, "finish": "stop"},
    "stream": {"text": TEXT, "role": "assistant", "finish": "stop", "ids": 1},
    "usage": {"last": {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}, "choices": [], "others": [None]},
    "parse": {"valid": True, "same": True},
    "parsedToolCall": {"city": "Paris", "degrees": 21, "windy": True},
    "streamHelper": {"text": TEXT, "content": TEXT, "total": 10},
    "tools": {"finish": "tool_calls", "arguments": CALL, "final": "21 degrees"},
    "streamedTools": {"finish": "tool_calls", "arguments": CALL, "final": "21 degrees"},
    "runTools": {"final": "21 degrees", "calls": [{"text": "Paris"}]},
    "cached": {"cache": ["miss", "hit"], "text": TEXT, "same": True},
    "left": TEXT,
    "models": {"listed": True, "card": {"id": "gpt-3.5-turbo", "object": "model", "created": 1_700_000_000, "owned_by": "tests"}},
}

REFUSED: dict[str, tuple[Any, ...]] = {
    "wrongValue": ("BadRequestError", 400, INVALID, "integer_below_min_value", "n", 1),
    "wrongKey": ("AuthenticationError", 401, INVALID, "invalid_api_key", None, 1),
    "unknownModel": ("NotFoundError", 404, INVALID, "model_not_found", None, 1),
    "tooLarge": ("APIError", 413, INVALID, "request_too_large", None, 1),
    "rateLimit": ("RateLimitError", 429, "requests", "upstream_rate_limited", None, 3),
    "upstreamFailure": ("InternalServerError", 502, "server_error", "upstream_error", None, 3),
}
"""Class, status, type, code, param, and how many requests were sent."""

FAILED = {"errorEvent": "overloaded", "truncated": "upstream_incomplete", "cut": "upstream_disconnected"}
"""Code of the error, by what the upstream does after three events."""


@pytest.mark.parametrize("name", ANSWERS)
def test_answered(results: Results, name: str) -> None:
    assert results[name] == ANSWERS[name]


@pytest.mark.parametrize("name", REFUSED)
def test_refused(results: Results, name: str) -> None:
    error = results[name]
    assert tuple(error[field] for field in ("class", "status", "type", "code", "param", "requests")) == REFUSED[name]
    assert error["requestId"] == "req_"


@pytest.mark.parametrize("name", FAILED)
def test_failed_stream(results: Results, name: str) -> None:
    """A stream that fails after it began is an error to the SDK, never a short answer."""
    error = results[name]
    assert (error["class"], error["type"], error["code"], error["param"]) == ("APIError", "server_error", FAILED[name], None)
    assert (error["seen"], error["requests"]) == ("Hello to ", 1)


def test_no_other_scenario(results: Results) -> None:
    assert set(results) == {*ANSWERS, *REFUSED, *FAILED}
