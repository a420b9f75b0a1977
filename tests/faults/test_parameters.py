"""Parameters that must not reach an upstream, in both gateways (docs/contract.md, Validation). Texts and order: tests/core."""

import json
import logging
import socket
from collections.abc import Iterator

import pytest

from tests.faults.bodies import MESSAGES, body_with, refusal
from tests.faults.conftest import AsyncClient, BlockingClient, Client, raw_request, settings_for
from tests.support.logs import line
from tests.support.upstream import MockUpstream


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


FIELDS_OF_OTHER_GATEWAYS = [
    "api_base",
    "base_url",
    "api_key",
    "api_version",
    "api_type",
    "organization",
    "azure_endpoint",
    "custom_llm_provider",
    "extra_headers",
    "extra_body",
    "extra_query",
    "headers",
    "user_config",
    "model_list",
    "fallbacks",
    "mock_response",
    "timeout",
    "proxy",
    "http_client",
    "litellm_params",
    "vertex_credentials",
    "aws_region_name",
]


@pytest.mark.parametrize("name", FIELDS_OF_OTHER_GATEWAYS)
def test_a_client_cannot_choose_where_requests_go(client: Client, upstream: MockUpstream, listener: socket.socket, name: str) -> None:
    """See docs/promises.md, Secrets."""
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    for value in (url, {"base_url": url, "authorization": url}):
        assert refusal(client, upstream, body_with(**{name: value})) == (400, "unknown_parameter", name)
    with pytest.raises(BlockingIOError):
        listener.accept()


WRONG_TYPES: dict[str, tuple[object, ...]] = {
    "temperature": (True, "0.5", [0.5], {"a": 1}),
    "top_p": (False, "1"),
    "max_tokens": (True, "5", 10.5, [5]),
    "max_completion_tokens": ("5", 1.5),
    "n": (True, "2", 1.5),
    "stream": ("true", 1, 0, "yes"),
    "logprobs": (1, "true"),
    "top_logprobs": ("1", True, 0.5),
    "seed": ("1", 1.5, True),
    "stop": (1, True, {"a": "b"}),
    "user": (1, True, ["u"]),
    "parallel_tool_calls": ("yes", 0),
    "store": ("yes", 1),
    "tools": ("f", {"type": "function"}, 1),
    "logit_bias": ([1], "a"),
    "metadata": ("a", [1]),
}


@pytest.mark.parametrize(
    ("field", "value"),
    [pytest.param(field, value, id=f"{field}-{value}") for field, values in WRONG_TYPES.items() for value in values],
)
def test_no_value_is_made_to_fit(client: Client, upstream: MockUpstream, field: str, value: object) -> None:
    """See docs/contract.md, Validation."""
    assert refusal(client, upstream, body_with(**{field: value})) == (400, "invalid_type", field)


BOUNDS: dict[str, tuple[tuple[object, ...], tuple[object, ...]]] = {
    "temperature": ((0, 2), (-0.1, 2.1, 1e300)),
    "top_p": ((0, 1), (-0.1, 1.1)),
    "presence_penalty": ((-2, 2), (-2.01, 2.01)),
    "frequency_penalty": ((-2, 2), (-2.01, 2.01)),
    "max_tokens": ((1, 2**31 - 1), (0, -1, 2**31)),
    "max_completion_tokens": ((1, 2**31 - 1), (0, -1, 2**31)),
    "n": ((1, 128), (0, -1, 129, 10**9)),
    "top_logprobs": ((0, 20), (-1, 21)),
    "top_k": ((1,), (0,)),
    "stop": (("s" * 256, ["s"] * 4), ("s" * 257, ["s"] * 5, [])),
}


@pytest.mark.parametrize(
    ("field", "value"),
    [pytest.param(field, value, id=f"{field}-{str(value)[:20]}") for field, (good, _) in BOUNDS.items() for value in good],
)
def test_the_bound_itself(client: Client, upstream: MockUpstream, field: str, value: object) -> None:
    """See docs/contract.md, Validation."""
    assert client.send(raw_request(body_with(logprobs=True, **{field: value}))).status == 200
    assert upstream.requests[0].json[field] == value


@pytest.mark.parametrize(
    ("field", "value"), [pytest.param(field, value, id=f"{field}-{str(value)[:20]}") for field, (_, bad) in BOUNDS.items() for value in bad]
)
def test_beyond_the_bound(client: Client, upstream: MockUpstream, field: str, value: object) -> None:
    """See docs/contract.md, Validation."""
    status, _, param = refusal(client, upstream, body_with(logprobs=True, **{field: value}))
    assert (status, param) == (400, field)


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([], "messages"),
        ("hi", "messages"),
        (7, "messages"),
        (["hi"], "messages[0]"),
        ([None], "messages[0]"),
        ([*MESSAGES, {"content": "hi"}], "messages[1].role"),
        ([{"role": "x", "content": "hi"}], "messages[0].role"),
        ([{"role": 7, "content": "hi"}], "messages[0].role"),
        ([{"role": "user", "content": 7}], "messages[0].content"),
        ([{"role": "user", "content": []}], "messages[0].content"),
        ([{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0].text"),
        ([{"role": "user", "content": [{"type": "x"}]}], "messages[0].content[0].type"),
        ([{"role": "tool", "content": "hi"}], "messages[0].tool_call_id"),
        ([{"role": "tool", "content": "hi", "tool_call_id": "call_1"}], "messages.[0].role"),
        ([{"role": "assistant", "tool_calls": [{"type": "function"}]}], "messages[0].tool_calls[0].id"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_messages(client: Client, upstream: MockUpstream, messages: object, param: str) -> None:
    """See docs/contract.md, Validation."""
    status, _, named = refusal(client, upstream, body_with(messages=messages))
    assert (status, named) == (400, param)


ODD_NAMES = ["no-such-model", "x" * 10_240, "a\r\nx-evil: 1", "../../etc/passwd", "%s%n{0}{self}", "\x1b[31m", "\u2028", "ok ", "OK"]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("name", ODD_NAMES, ids=lambda name: repr(name[:20]))
def test_unknown_models(client: Client, upstream: MockUpstream, caplog: pytest.LogCaptureFixture, name: str, stream: bool) -> None:
    """And no log or metric gets a name that clients make up (docs/contract.md, Validation)."""
    with caplog.at_level(logging.DEBUG):
        assert refusal(client, upstream, body_with(model=name, stream=stream)) == (404, "model_not_found", None)
    assert all("model" not in line(record) for record in caplog.records if record.name.startswith("completions_mw"))


@pytest.mark.parametrize("kind", [BlockingClient, AsyncClient], ids=["blocking", "async"])
def test_a_model_that_is_not_allowed_looks_like_one_that_does_not_exist(
    kind: type[BlockingClient | AsyncClient], upstream: MockUpstream
) -> None:
    """See docs/contract.md, Validation."""
    secret = "sk-canary-client-key"
    client = kind(settings_for(upstream, keys={"client": {"secret": secret, "models": ["ok"]}}))
    forbidden, unknown = client.post("n"), client.post("x")
    assert forbidden.status == unknown.status == 404
    assert forbidden.json == json.loads(unknown.body.replace(b"`x`", b"`n`"))
    assert upstream.requests == []
    client.close()
