"""What messages and tools hold is passed on; it is neither opened nor run nor repeated (docs/promises.md, Secrets)."""

import logging
import socket
from typing import Any

import pytest

from tests.faults.bodies import CANARY, WHOLE, body_with, refusal
from tests.faults.conftest import Client, raw_request, request
from tests.support.upstream import MockUpstream

LURES = [
    "http://169.254.169.254/latest/meta-data/iam/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "http://[::1]:6379/",
    "http://metadata.google.internal/",
    "https://canary.invalid/x.png",
    "//canary.invalid/x.png",
    "data:image/png;base64," + "A" * 5_000_000,
]


class Dialled:
    """Everything that this process connects to or looks up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.hosts: set[str] = set()
        self._watch(monkeypatch, socket, "getaddrinfo", 0)
        self._watch(monkeypatch, socket, "gethostbyname", 0)
        self._watch(monkeypatch, socket.socket, "connect", 1)
        self._watch(monkeypatch, socket.socket, "connect_ex", 1)
        self._watch(monkeypatch, socket.socket, "sendto", 1)

    def _watch(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, at: int) -> None:
        original = getattr(owner, name)

        def watched(*args: Any, **options: Any) -> Any:
            self.hosts.add(str(args[at]))
            return original(*args, **options)

        monkeypatch.setattr(owner, name, watched)


@pytest.mark.parametrize("lure", LURES, ids=lambda lure: lure[:40])
def test_urls_in_messages_are_not_opened(client: Client, upstream: MockUpstream, monkeypatch: pytest.MonkeyPatch, lure: str) -> None:
    """See docs/contract.md, Requests."""
    parts = [
        {"type": "text", "text": lure[:100]},
        *[{"type": "image_url", "image_url": {"url": lure}}] * (129 if len(lure) < 100 else 1),
        {"type": "file", "file": {"file_data": lure[:100], "filename": lure[:100]}},
    ]
    dialled = Dialled(monkeypatch)
    answer = client.send(raw_request(body_with(messages=[{"role": "user", "content": parts}])))
    assert answer.status in (200, 400)
    assert dialled.hosts <= {"127.0.0.1", str(("127.0.0.1", upstream.port))}
    assert [received.json["messages"][0]["content"] for received in upstream.requests] == [parts] * (answer.status == 200)


SCHEMAS: dict[str, dict[str, Any]] = {
    "1 MB": {"type": "object", "properties": {"a": {"description": "x" * 1_000_000}}},
    "$ref loop": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
    "remote $ref": {"$ref": "http://canary.invalid/schema.json"},
    "pattern": {"type": "object", "properties": {"a": {"type": "string", "pattern": "(a+)+$"}}},
    "pattern that is none": {"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}},
}


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_schemas_are_passed_on_and_not_used(
    client: Client, upstream: MockUpstream, monkeypatch: pytest.MonkeyPatch, schema: dict[str, Any]
) -> None:
    """See docs/promises.md, Bounds."""
    tools = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
    dialled = Dialled(monkeypatch)
    assert client.send(request("ok", "a" * 64 + "!", tools=tools)).status == 200
    assert upstream.requests[0].json["tools"] == tools
    assert dialled.hosts <= {"127.0.0.1", str(("127.0.0.1", upstream.port))}


def test_schemas_are_bounded_in_depth(client: Client, upstream: MockUpstream) -> None:
    """See docs/promises.md, Bounds."""
    parameters = '{"not": ' * 1_000 + "{}" + "}" * 1_000
    body = WHOLE[:-1].decode() + f', "tools": [{{"type": "function", "function": {{"name": "f", "parameters": {parameters}}}}}]}}'
    assert refusal(client, upstream, body.encode()) == (400, None, None)


LEAKS: dict[str, dict[str, Any]] = {
    "number": {"temperature": CANARY},
    "integer": {"max_tokens": CANARY},
    "boolean": {"stream": CANARY},
    "role": {"messages": [{"role": CANARY, "content": "hi"}]},
    "content": {"messages": [{"role": "user", "content": {"text": CANARY}}]},
    "part": {"messages": [{"role": "user", "content": [{"type": CANARY}]}]},
    "image": {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": CANARY}]}]},
    "arguments": {"messages": [{"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": {"arguments": CANARY}}]}]},
    "tool": {"tools": [{"type": "function", "function": {"name": CANARY * 4}}]},
    "tool_choice": {"tool_choice": CANARY},
    "response_format": {"response_format": {"type": CANARY}},
    "service_tier": {"service_tier": CANARY},
    "reasoning_effort": {"reasoning_effort": CANARY},
    "metadata": {"metadata": {"k": [CANARY]}},
    "unknown": {"zzz": CANARY},
    "stop": {"stop": [CANARY] * 5},
    "stream_options": {"stream": True, "stream_options": {"include_usage": CANARY}},
}


@pytest.mark.parametrize("fields", LEAKS.values(), ids=LEAKS)
def test_a_bad_value_is_never_repeated(
    client: Client, upstream: MockUpstream, caplog: pytest.LogCaptureFixture, fields: dict[str, Any]
) -> None:
    """See docs/promises.md, Secrets."""
    with caplog.at_level(logging.DEBUG):
        answer = client.send(raw_request(body_with(**fields)))
    assert answer.status == 400
    assert upstream.requests == []
    assert CANARY not in answer.body.decode() + caplog.text
