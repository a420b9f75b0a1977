"""Anthropic's API behind both kinds of gateways: maximums of the settings."""

import pytest
from pydantic_core import from_json

from completions_mw import Settings
from tests.faults.conftest import KEY, AsyncClient, BlockingClient
from tests.providers.corpus.anthropic import FORMAT
from tests.providers.corpus.case import case
from tests.providers.corpus.replay import reply
from tests.support.canned import CannedTransport

SECRET = "sk-canary-upstream"


def gateway_settings() -> Settings:
    return Settings.from_mapping(
        {
            "providers": {"up": {"api": "anthropic", "api_key": SECRET}},
            "models": {
                "m": {"targets": ["up/claude-sonnet-5-5"], "max_output_tokens": 77},
            },
            "keys": {"client": {"secret": KEY}},
        }
    )


both_gateways = pytest.mark.parametrize("kind", [BlockingClient, AsyncClient])


def replaying(name: str) -> CannedTransport:
    """Return a transport that answers each request with a case, in the form that it asks for."""
    return CannedTransport(lambda request: reply(FORMAT, case("anthropic", name), stream=b'"stream":true' in request.body))


@both_gateways
def test_a_request_without_a_maximum_has_that_of_the_model(kind: type[BlockingClient | AsyncClient]) -> None:
    transport = replaying("plain")
    client = kind(gateway_settings(), transport=transport)
    assert [client.post("m", **fields).status for fields in ({}, {"stream": True}, {"max_tokens": 5})] == [200] * 3
    assert [from_json(request.body)["max_tokens"] for request in transport.requests] == [77, 77, 5]
    client.close()
