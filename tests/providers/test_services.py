"""Services with OpenAI's API, as their rows say: what they are asked, and what they are never asked."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic_core import from_json

from completions_mw import Gateway, GatewayError, InvalidRequestError, Settings
from completions_mw.http import UpstreamRequest
from completions_mw.settings.compatible import SERVICES, Service
from tests.support.canned import CannedTransport, Reply, whole

ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi!"}, "finish_reason": "stop"}]}
HELLO: Any = [{"role": "user", "content": "Hello!"}]
VALUES: dict[str, Any] = {
    "audio": {"voice": "alloy", "format": "wav"},
    "frequency_penalty": 0.5,
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "parallel_tool_calls": False,
    "presence_penalty": 0.5,
    "seed": 7,
    "store": True,
    "top_k": 5,
    "verbosity": "low",
}
"""Values that change the answer of a service that takes them."""
named = pytest.mark.parametrize("service", [service for service in SERVICES if service.name], ids=lambda service: service.name)


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDFLARE_ACCOUNT_ID", "account")
    monkeypatch.setenv("DATABRICKS_HOST", "https://dbc.cloud.databricks.com")
    for service in SERVICES:
        if service.key_variable:
            monkeypatch.setenv(service.key_variable, f"key-of-{service.name}")


def gateway(service: str, reply: Callable[[UpstreamRequest], Reply] = lambda request: whole(ANSWER)) -> tuple[Gateway, CannedTransport]:
    transport = CannedTransport(reply)
    return Gateway(Settings(models={"m": {"targets": [f"{service}/vendor/model"]}}), transport=transport), transport


@named
def test_a_service_gets_its_own_key(service: Service) -> None:
    made, transport = gateway(service.name)
    made.complete(model="m", messages=HELLO, max_completion_tokens=5)
    [request] = transport.requests
    assert request.url.endswith("/chat/completions")
    assert "{" not in request.url
    expected = f"Bearer key-of-{service.name}" if service.key_variable else None
    assert dict(request.headers).get("authorization") == expected
    body = from_json(request.body)
    assert (body["model"], body[service.capabilities.max_tokens]) == ("vendor/model", 5)


@named
def test_what_a_service_does_not_take_is_not_sent(service: Service) -> None:
    made, transport = gateway(service.name)
    for name in sorted(service.capabilities.unsupported & VALUES.keys()):
        with pytest.raises(InvalidRequestError) as caught:
            made.complete(
                model="m", messages=HELLO, **{name: VALUES[name], **({"modalities": ["text", "audio"]} if name == "audio" else {})}
            )
        assert caught.value.code == "unsupported_parameter"
    if service.capabilities.max_choices == 1:
        with pytest.raises(InvalidRequestError, match="'n' does not support 2"):
            made.complete(model="m", messages=HELLO, n=2)
    assert not transport.requests


def test_a_parameter_with_another_name_comes_back_under_the_clients() -> None:
    def refusing(request: UpstreamRequest) -> Reply:
        return whole({"message": "random_seed should be positive", "param": "random_seed", "code": "3051"}, 400)

    made, transport = gateway("mistral", refusing)
    with pytest.raises(GatewayError) as caught:
        made.complete(model="m", messages=HELLO, seed=7)
    assert from_json(transport.requests[0].body)["random_seed"] == 7
    assert (caught.value.param, caught.value.message) == ("seed", "seed should be positive")
