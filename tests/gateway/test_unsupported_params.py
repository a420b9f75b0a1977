"""Parameters that a target does not take, from the settings to the upstream and to the client, through both gateways."""

from collections.abc import Iterator
from typing import Any, Literal

import pytest

from completions_mw import InvalidRequestError, Settings
from completions_mw.providers import openai, registry
from completions_mw.providers.base import Upstream
from completions_mw.settings import OpenAISettings, UpstreamSettings
from completions_mw.settings.compatible import Capabilities
from tests.faults.conftest import KEY, AsyncClient, BlockingClient
from tests.support.upstream import MockUpstream

HEADER = "x-completions-dropped"


class NarrowSettings(UpstreamSettings):
    """`[providers.<name>]` with `api = "narrow"`: OpenAI's API without seeds, with half of the temperatures and with one choice."""

    api: Literal["narrow"] = "narrow"


def _narrow(provider: NarrowSettings) -> Upstream:
    capabilities = Capabilities(unsupported=frozenset({"seed"}), ranges={"temperature": (0, 1)}, max_choices=1)
    return Upstream(openai, openai.build_endpoint(OpenAISettings(api="openai", base_url=provider.base_url)), capabilities)


registry.register("narrow", _narrow)


@pytest.fixture(scope="module")
def upstream() -> Iterator[MockUpstream]:
    with MockUpstream() as server:
        yield server


@pytest.fixture(scope="module", params=[BlockingClient, AsyncClient], ids=["blocking", "async"])
def client(request: pytest.FixtureRequest, upstream: MockUpstream) -> Iterator[BlockingClient | AsyncClient]:
    settings = Settings.from_mapping(
        {
            "providers": {"narrow": {"api": "echo"}, "clamping": {"api": "echo"}, "wide": {"api": "openai", "base_url": upstream.url}},
            "models": {
                "strict": {"targets": ["narrow/ok"]},
                "dropping": {"targets": ["narrow/ok"], "unsupported_params": "drop"},
                "clamping": {"targets": ["clamping/ok"]},
                "strict-again": {"targets": ["clamping/ok"], "unsupported_params": "reject"},
                "rescued": {"targets": ["narrow/ok", "wide/ok"]},
                "failing": {"targets": ["wide/status-500", "narrow/ok"]},
            },
            "keys": {"client": {"secret": KEY}},
        }
    )
    narrow = NarrowSettings(base_url=upstream.url)
    own = {"narrow": narrow, "clamping": narrow.model_copy(update={"unsupported_params": "clamp"})}
    made = request.param(settings.model_copy(update={"providers": {**settings.providers, **own}}))
    yield made
    made.close()


Client = BlockingClient | AsyncClient
ODD: dict[str, Any] = {"seed": 7, "temperature": 1.5, "n": 2}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("model", "sent"), [("dropping", {}), ("clamping", {"temperature": 1, "n": 1})])
def test_told_in_a_header(client: Client, upstream: MockUpstream, model: str, sent: dict[str, Any], stream: bool) -> None:
    answer = client.post(model, stream=stream, **ODD)
    assert (answer.status, answer.headers[HEADER]) == (200, "n, seed, temperature")
    assert {name: value for name, value in upstream.requests[-1].json.items() if name in ODD} == sent
    assert HEADER not in client.post(model, stream=stream).headers


@pytest.mark.parametrize("model", ["strict", "strict-again"])
def test_refused(client: Client, upstream: MockUpstream, model: str) -> None:
    before = len(upstream.requests)
    answer = client.post(model, **ODD)
    message = "Unsupported parameter: 'seed' is not supported with this model."
    error = {"message": message, "type": "invalid_request_error", "param": "seed", "code": "unsupported_parameter"}
    assert (answer.status, answer.json) == (400, {"error": error})
    assert len(upstream.requests) == before


def test_the_next_target_answers(client: Client, upstream: MockUpstream) -> None:
    answer = client.post("rescued", **ODD)
    assert (answer.status, HEADER in answer.headers) == (200, False)
    assert upstream.requests[-1].json.items() >= ODD.items()


def test_a_target_that_failed_is_not_hidden_by_one_that_refuses(client: Client) -> None:
    assert client.post("failing", **ODD).status == 502


def test_direct_calls_are_told_the_target(upstream: MockUpstream) -> None:
    settings = Settings.from_mapping({"providers": {"openai": {"api": "openai"}}, "models": {"m": {"targets": ["openai/gpt-4o"]}}})
    client = BlockingClient(settings)
    with pytest.raises(InvalidRequestError) as caught:
        client.gateway.complete(model="m", messages=[{"role": "user", "content": "hi"}], top_k=40)
    client.close()
    assert (caught.value.param, caught.value.target) == ("top_k", "openai/gpt-4o")
