"""Parameters that a target does not take, from the settings to the upstream and to the client, through both gateways."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from completions_mw import Gateway, InvalidRequestError, Request, Settings
from completions_mw.http import UpstreamRequest
from completions_mw.providers import openai
from completions_mw.providers.base import Completion, Translator
from completions_mw.providers.custom import CustomFormat
from completions_mw.providers.endpoint import Endpoint, endpoint_of
from completions_mw.providers.untranslatable import untranslatable
from completions_mw.settings.capabilities import Capabilities
from completions_mw.settings.providers import CustomSettings
from tests.faults.conftest import KEY, AsyncClient, BlockingClient
from tests.hosts.base import CHAT, bearer
from tests.support.canned import CannedTransport, whole
from tests.support.upstream import MockUpstream

HEADER = "x-completions-dropped"
HELLO = [{"role": "user", "content": "hi"}]


class NarrowFormat(CustomFormat):
    """OpenAI's API without seeds, with half of the temperatures and one choice. That it has no predictions is seen when it is asked."""

    capabilities = Capabilities(unsupported=frozenset({"seed"}), ranges={"temperature": (0, 1)}, max_choices=1)

    def build_endpoint(self, settings: CustomSettings) -> Endpoint:
        return endpoint_of(settings, settings.base_url + "/chat/completions", {})

    def build_request(
        self, endpoint: Endpoint, capabilities: Capabilities, model: str, fields: Mapping[str, Any], max_tokens: int | None = None
    ) -> UpstreamRequest:
        if "prediction" in fields:
            raise untranslatable("prediction", "has no predictions", is_value=False)
        return openai.build_request(endpoint, capabilities, model, fields, max_tokens)

    def parse_completion(self, body: bytes) -> Completion:
        return openai.parse_completion(body)

    def open_stream(self, max_event_bytes: int) -> Translator:
        return openai.open_stream(max_event_bytes)


@pytest.fixture(scope="module")
def upstream() -> Iterator[MockUpstream]:
    with MockUpstream() as server:
        yield server


@pytest.fixture(scope="module", params=[BlockingClient, AsyncClient], ids=["blocking", "async"])
def client(request: pytest.FixtureRequest, upstream: MockUpstream) -> Iterator[BlockingClient | AsyncClient]:
    settings = Settings.from_mapping(
        {
            "providers": {
                "narrow": {"api": "custom", "base_url": upstream.url},
                "clamping": {"api": "custom", "base_url": upstream.url, "format": "narrow", "unsupported_params": "clamp"},
                "wide": {"api": "openai", "base_url": upstream.url},
            },
            "models": {
                "strict": {"targets": ["narrow/ok"]},
                "dropping": {"targets": ["narrow/ok"], "unsupported_params": "drop"},
                "clamping": {"targets": ["clamping/ok"]},
                "strict-again": {"targets": ["clamping/ok"], "unsupported_params": "reject"},
                "rescued": {"targets": ["narrow/ok", "wide/ok"]},
                "failing": {"targets": ["wide/status-500", "narrow/ok"]},
            },
            "keys": {"client": {"secret": KEY}},
            "cache": {"enabled": True, "when": "asked"},
        }
    )
    made = request.param(settings, providers={"narrow": NarrowFormat()})
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


PREDICTION: dict[str, Any] = {"prediction": {"type": "content", "content": "x"}}


@pytest.mark.parametrize("fields", [ODD, PREDICTION], ids=["unsupported", "untranslatable"])
def test_a_target_that_failed_is_not_hidden_by_one_that_refuses(client: Client, fields: dict[str, Any]) -> None:
    assert client.post("failing", **fields).status == 502


def test_what_is_seen_only_when_a_target_is_asked(client: Client) -> None:
    refused = client.post("strict", **PREDICTION)
    assert (refused.status, refused.error["code"], refused.error["param"]) == (400, "unsupported_parameter", "prediction")
    assert refused.headers["x-completions-error-source"] == "gateway"
    assert client.post("rescued", **PREDICTION).status == 200


def test_a_cached_answer_tells_it_too(client: Client, upstream: MockUpstream) -> None:
    before = len(upstream.requests)
    answers = [client.send(asking(seed=7, temperature=1.5)) for _ in range(3)]
    assert [(answer.headers["x-cache"], answer.headers[HEADER]) for answer in answers] == [
        ("miss", "seed, temperature"),
        ("hit", "seed, temperature"),
        ("hit", "seed, temperature"),
    ]
    assert len(upstream.requests) == before + 1


def test_a_cached_answer_of_another_target_tells_it_too() -> None:
    fails: list[int] = []
    answer = {"id": "x", "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}
    transport = CannedTransport(lambda request: whole(answer, 500 if "wide" in request.url and fails else 200))
    tree: dict[str, Any] = {
        "providers": {
            "wide": {"api": "openai", "base_url": "http://wide.test"},
            "narrow": {"api": "custom", "base_url": "http://narrow.test", "unsupported_params": "drop"},
        },
        "models": {"clamping": {"targets": ["wide/ok", "narrow/ok"]}},
        "keys": {"client": {"secret": KEY}},
        "cache": {"enabled": True},
    }
    made = BlockingClient(Settings.from_mapping(tree), transport=transport, providers={"narrow": NarrowFormat()})
    told = [made.send(asking(seed=7)).headers.get(HEADER) for _ in range(3)]
    made.gateway.cache.purge()
    fails.append(1)
    told += [made.send(asking(seed=7)).headers.get(HEADER) for _ in range(3)]
    made.close()
    assert told == [None, None, None, "seed", "seed", "seed"]


def asking(**fields: Any) -> Request:
    """Return a request whose answer may come from the cache."""
    headers = (*bearer(KEY), ("content-type", "application/json"), ("cache-control", "max-age=60"))
    return Request("POST", CHAT, headers, json.dumps({"model": "clamping", "messages": HELLO, **fields}).encode())


def test_direct_calls_are_told_by_their_answers(upstream: MockUpstream) -> None:
    settings = Settings.from_mapping(
        {
            "providers": {"narrow": {"api": "custom", "base_url": upstream.url}},
            "models": {"m": {"targets": ["narrow/ok"], "unsupported_params": "drop"}},
        }
    )
    with Gateway(settings, providers={"narrow": NarrowFormat()}) as gateway:
        answer = gateway.complete(model="m", messages=HELLO, **ODD)
        with gateway.stream(model="m", messages=HELLO, **ODD) as chunks:
            before = chunks.dropped_params
            next(chunks)
            told = (before, chunks.dropped_params)
    assert told == ((), ("n", "seed", "temperature"))
    assert answer.dropped_params == ("n", "seed", "temperature")
    assert "dropped" not in answer.model_dump_json()


def test_direct_calls_are_told_the_target(upstream: MockUpstream) -> None:
    settings = Settings.from_mapping({"providers": {"openai": {"api": "openai"}}, "models": {"m": {"targets": ["openai/gpt-4o"]}}})
    client = BlockingClient(settings)
    with pytest.raises(InvalidRequestError) as caught:
        client.gateway.complete(model="m", messages=HELLO, top_k=40)
    client.close()
    assert (caught.value.param, caught.value.target) == ("top_k", "openai/gpt-4o")
