"""Parameters and names that must not reach an upstream, in both gateways (docs/contract.md, Validation). Types and bounds: tests/core."""

import json
import logging
import socket
from collections.abc import Iterator

import pytest

from tests.faults.bodies import body_with, refusal
from tests.faults.conftest import AsyncClient, BlockingClient, Client, settings_for
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
