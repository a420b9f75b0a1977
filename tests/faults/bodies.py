"""Bodies of requests, and what a refusal of one must be."""

import json
from typing import Any

from tests.faults.conftest import Client, raw_request
from tests.support.envelope import Refusal, check_refusal
from tests.support.upstream import MockUpstream

CANARY = "sk-canary-in-the-body"
MESSAGES = [{"role": "user", "content": "hi"}]
MAX_ERROR_BYTES = 4096


def body_with(**fields: Any) -> bytes:
    return json.dumps({"model": "ok", "messages": MESSAGES, **fields}).encode()


def refusal(client: Client, upstream: MockUpstream, body: bytes) -> tuple[int, str | None, str | None]:
    """Return status, code and param of a refusal that nothing was done for."""
    answer = client.send(raw_request(body))
    check_refusal(Refusal("POST", answer.status, answer.headers, answer.body))
    assert answer.error["type"] == "invalid_request_error"
    assert len(answer.body) <= MAX_ERROR_BYTES
    assert upstream.requests == []
    return answer.status, answer.error["code"], answer.error["param"]


WHOLE = body_with(user=CANARY)
