"""Bodies that are not JSON, not small, or not what they seem, in both gateways (docs/promises.md, Bounds)."""

import json
import logging
import tracemalloc
from collections.abc import Callable

import pytest

from tests.faults.bodies import CANARY, MESSAGES, WHOLE, body_with, refusal
from tests.faults.conftest import Client, raw_request
from tests.support.upstream import MockUpstream

NOT_JSON = {
    "truncated": WHOLE[:-3],
    "raw newline": WHOLE.replace(b"hi", b"h\ni"),
    "invalid UTF-8": WHOLE.replace(b"hi", b"\xff\xfe"),
    "lone surrogate": WHOLE.replace(b"hi", b"\\ud800"),
    "NaN": WHOLE.replace(b"}]", b'}], "temperature": NaN'),
}
"""One of each way to be none; all of them: tests/core/validation/test_json_body.py."""


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
def test_what_is_no_json_is_not_repeated(client: Client, upstream: MockUpstream, caplog: pytest.LogCaptureFixture, body: bytes) -> None:
    """The message says where, not what (docs/promises.md, Bounds)."""
    with caplog.at_level(logging.DEBUG):
        assert refusal(client, upstream, body) == (400, None, None)
        answer = client.send(raw_request(body))
    assert " at line 1 column " in answer.error["message"] or " at line 2 column " in answer.error["message"]
    assert CANARY not in answer.error["message"] + caplog.text


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_repeated_keys_reach_the_upstream_once(client: Client, upstream: MockUpstream, stream: bool) -> None:
    """The last counts, for our checks and for the upstream alike (docs/promises.md, Bounds)."""
    last = json.dumps({"model": "ok", "messages": MESSAGES, "stream": stream})
    body = '{"model": "trunc", "messages": [], "stream": 7, "mod\\u0065l": "cut", ' + last[1:]
    assert client.send(raw_request(body.encode())).status == 200
    (received,) = upstream.requests
    assert [received.raw.count(name) for name in (b'"model"', b'"messages"', b'"stream"')] == [1, 1, 1]
    assert (received.json["model"], received.json["messages"], received.json["stream"]) == ("ok", MESSAGES, stream)


MANY: dict[str, tuple[Callable[[], bytes], tuple[str | None, str | None]]] = {
    "3,000 messages": (lambda: body_with(messages=MESSAGES * 3_000), ("array_above_max_length", "messages")),
    "100,000 messages": (lambda: body_with(messages=MESSAGES * 100_000), (None, None)),
    "500,000 keys": (lambda: body_with(**{f"k{number}": 1 for number in range(500_000)}), (None, None)),
    "10 MB of {}": (lambda: b'{"messages": [' + b"{}," * 3_400_000 + b"{}]}", (None, None)),
    "10 MB of quotes": (lambda: b'{"messages": [' + b'"",' * 3_400_000 + b'""]}', (None, None)),
}


@pytest.mark.parametrize(("make", "expected"), MANY.values(), ids=MANY)
def test_too_much_structure(
    client: Client, upstream: MockUpstream, make: Callable[[], bytes], expected: tuple[str | None, str | None]
) -> None:
    """Refused before it is built (docs/promises.md, Bounds)."""
    body = make()
    tracemalloc.start()
    try:
        assert refusal(client, upstream, body) == (400, *expected)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 32 * 1024 * 1024


def test_a_body_beyond_the_limit(client: Client, upstream: MockUpstream) -> None:
    assert refusal(client, upstream, body_with(user="x" * 10 * 1024 * 1024)) == (413, "request_too_large", None)
