"""Azure OpenAI where it differs from OpenAI: addresses, versions, credentials, and what its content filter costs."""

from typing import Any

import pytest
from pydantic_core import from_json

from completions_mw import Gateway, Settings
from completions_mw.errors import GatewayError
from completions_mw.http import UpstreamRequest
from tests.support.canned import CannedTransport, Reply, whole

ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi!"}, "finish_reason": "stop"}]}
FILTERED = {"error": {"message": "filtered", "type": None, "param": "prompt", "code": "content_filter"}}
NOT_FOUND = {"error": {"code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist."}}


def answering(request: UpstreamRequest) -> Reply:
    return whole(ANSWER)


def gateway(transport: CannedTransport, provider: dict[str, Any], **options: Any) -> Gateway:
    key = {"secret": "sk-not-a-secret", "budget": {"usd": 1, "period": "total"}}
    settings = Settings(
        providers={"azure": {"api": "azure", **provider}, "local": {"api": "echo"}},
        models={
            "m": {"targets": ["azure/a.b"], "prices": {"input": 10, "output": 20}},
            "rescued": {"targets": ["azure/gone", "local/m"]},
        },
        keys={"client": key},
        stores={"ledger": "memory://"},
    )
    return Gateway(settings, transport=transport, **options)


def ask(gateway: Gateway, model: str = "m", **fields: Any) -> str | None:
    messages = [{"role": "user", "content": "one two three"}]
    return gateway.complete(model=model, messages=messages, **fields).choices[0].message.content


DATED = "/openai/deployments/a.b/chat/completions?api-version="


@pytest.mark.parametrize(
    ("provider", "url"),
    [
        ({"resource": "mine"}, "https://mine.openai.azure.com/openai/v1/chat/completions"),
        ({"resource": "mine", "api_version": "preview"}, "https://mine.openai.azure.com/openai/v1/chat/completions?api-version=preview"),
        ({"resource": "mine", "api_version": "2024-10-21"}, f"https://mine.openai.azure.com{DATED}2024-10-21"),
        ({"base_url": "https://mine.services.ai.azure.com/"}, "https://mine.services.ai.azure.com/openai/v1/chat/completions"),
        ({"base_url": "https://mine.openai.azure.com/openai/v1/"}, "https://mine.openai.azure.com/openai/v1/chat/completions"),
        ({"base_url": "https://mine.test/openai", "api_version": "2024-06-01"}, f"https://mine.test{DATED}2024-06-01"),
    ],
)
def test_each_version_has_its_addresses(provider: dict[str, Any], url: str) -> None:
    transport = CannedTransport(answering)
    assert ask(gateway(transport, {"api_key": "canary-key", **provider})) == "Hi!"
    [request] = transport.requests
    assert request.url == url
    assert from_json(request.body)["model"] == "a.b"
    assert ("api-key", "canary-key") in request.headers


@pytest.mark.parametrize(
    ("version", "names"),
    [
        ("2024-06-01", {"max_tokens"}),
        ("2024-10-21", {"max_completion_tokens", "stream_options"}),
        ("v1", {"max_completion_tokens", "stream_options"}),
    ],
)
def test_an_old_version_gets_what_it_knows(version: str, names: set[str]) -> None:
    transport = CannedTransport(answering)
    made = gateway(transport, {"resource": "mine", "api_version": version})
    with pytest.raises(GatewayError):
        list(made.stream(model="m", messages=[{"role": "user", "content": "hi"}], max_completion_tokens=5))
    assert {"max_tokens", "max_completion_tokens", "stream_options"} & from_json(transport.requests[0].body).keys() == names


def test_a_token_of_entra_takes_the_place_of_the_key() -> None:
    transport = CannedTransport(answering)
    assert ask(gateway(transport, {"resource": "mine"}, credentials={"azure": lambda: "entra-token"})) == "Hi!"
    headers = dict(transport.requests[0].headers)
    assert headers["authorization"] == "Bearer entra-token"
    assert "api-key" not in headers


def test_a_prompt_that_the_filter_stops_is_charged() -> None:
    made = gateway(CannedTransport(lambda request: whole(FILTERED, 400)), {"resource": "mine"})
    with pytest.raises(GatewayError) as caught:
        ask(made, key="sk-not-a-secret")
    assert (caught.value.status, caught.value.code, caught.value.param) == (400, "content_filter", "messages")
    assert made.balances("client")[0].spent > 0


def test_a_model_that_is_not_deployed_is_asked_of_the_next_target() -> None:
    assert ask(gateway(CannedTransport(lambda request: whole(NOT_FOUND, 404)), {"resource": "mine"}), "rescued") == "one two three"
