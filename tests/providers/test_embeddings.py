"""Embeddings of every API that has them: requests in the vendor's words, answers in OpenAI's, and money by their usage."""

from base64 import b64encode
from collections.abc import Callable
from struct import pack
from typing import Any, NamedTuple

import pytest
from pydantic_core import from_json

from completions_mw import ConfigurationError, Gateway, GatewayError, InvalidRequestError, Settings, UpstreamError
from completions_mw.http import UpstreamRequest
from completions_mw.providers.openai import embeddings as openai_embeddings
from tests.support.canned import CannedTransport, Reply, whole
from tests.support.toy_format import ToyFormat

KEY = "sk-not-a-secret"
TEXTS = ["one", "two three"]
VECTORS = [[0.5, 0.25], [1.0, -0.125]]
AWS = {"api": "bedrock", "region": "us-east-1", "api_key": "canary-key"}


def openai_reply(request: UpstreamRequest) -> Reply:
    inputs = from_json(request.body)["input"]
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(VECTORS[: len(inputs)])]
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    return whole({"object": "list", "data": data, "model": "upstream-name", "usage": usage})


def gemini_reply(request: UpstreamRequest) -> Reply:
    asked = from_json(request.body)["requests"]
    return whole({"embeddings": [{"values": vector} for vector in VECTORS[: len(asked)]], "usageMetadata": {"promptTokenCount": 3}})


def titan_reply(request: UpstreamRequest) -> Reply:
    text = from_json(request.body)["inputText"]
    return whole({"embedding": VECTORS[TEXTS.index(text)], "inputTextTokenCount": len(text.split())})


def cohere_reply(request: UpstreamRequest) -> Reply:
    texts = from_json(request.body)["texts"]
    reply = whole({"id": "x", "embeddings": {"float": VECTORS[: len(texts)]}, "response_type": "embeddings_by_type", "texts": texts})
    return reply._replace(headers=(("x-amzn-bedrock-input-token-count", "3"),))


def listed_reply(request: UpstreamRequest) -> Reply:
    return cohere_reply(request)._replace(pieces=whole({"embeddings": VECTORS, "response_type": "embeddings_floats"}).pieces)


class Api(NamedTuple):
    """An API, and the requests that it must get for two texts."""

    provider: dict[str, Any]
    model: str
    reply: Callable[[UpstreamRequest], Reply]
    url: str
    bodies: list[dict[str, Any]]
    size: str | None = "dimensions"
    """Name of `dimensions`; None where the model has no choice of them."""


BEDROCK = "https://bedrock-runtime.us-east-1.amazonaws.com/model"
COHERE_BODY = {"input_type": "search_document", "texts": TEXTS, "embedding_types": ["float"]}
APIS = {
    "openai": Api(
        {"api": "openai", "api_key": "canary-key"},
        "text-embedding-3-small",
        openai_reply,
        "https://api.openai.com/v1/embeddings",
        [{"model": "text-embedding-3-small", "input": TEXTS}],
    ),
    "ollama": Api(
        {"api": "openai", "base_url": "http://localhost:11434/v1"},
        "nomic-embed-text",
        openai_reply,
        "http://localhost:11434/v1/embeddings",
        [{"model": "nomic-embed-text", "input": TEXTS}],
    ),
    "azure": Api(
        {"api": "azure", "resource": "mine", "api_key": "canary-key"},
        "my-embed",
        openai_reply,
        "https://mine.openai.azure.com/openai/v1/embeddings",
        [{"model": "my-embed", "input": TEXTS}],
    ),
    "azure-dated": Api(
        {"api": "azure", "resource": "mine", "api_key": "canary-key", "api_version": "2024-10-21"},
        "my-embed",
        openai_reply,
        "https://mine.openai.azure.com/openai/deployments/my-embed/embeddings?api-version=2024-10-21",
        [{"model": "my-embed", "input": TEXTS}],
    ),
    "gemini": Api(
        {"api": "gemini", "api_key": "canary-key"},
        "gemini-embedding-001",
        gemini_reply,
        "https://generativelanguage.googleapis.com/v1beta/models/gemini-embedding-001:batchEmbedContents",
        [{"requests": [{"model": "models/gemini-embedding-001", "content": {"parts": [{"text": text}]}} for text in TEXTS]}],
        "outputDimensionality",
    ),
    "titan": Api(
        AWS,
        "amazon.titan-embed-text-v2:0",
        titan_reply,
        f"{BEDROCK}/amazon.titan-embed-text-v2%3A0/invoke",
        [{"inputText": text} for text in TEXTS],
    ),
    "titan-v1": Api(
        AWS,
        "amazon.titan-embed-text-v1",
        titan_reply,
        f"{BEDROCK}/amazon.titan-embed-text-v1/invoke",
        [{"inputText": text} for text in TEXTS],
        None,
    ),
    "cohere": Api(AWS, "cohere.embed-v4:0", cohere_reply, f"{BEDROCK}/cohere.embed-v4%3A0/invoke", [COHERE_BODY], "output_dimension"),
    "cohere-v3": Api(AWS, "cohere.embed-english-v3", listed_reply, f"{BEDROCK}/cohere.embed-english-v3/invoke", [COHERE_BODY], None),
}

every_api = pytest.mark.parametrize("api", APIS.values(), ids=APIS)
PRICE = 1000
"""USD for a million tokens of input, so that a token costs a tenth of a cent."""


def gateway(api: Api, transport: CannedTransport, **model: Any) -> Gateway:
    settings = Settings(
        providers={"up": api.provider},
        models={"mine": {"targets": [f"up/{api.model}"], "prices": {"input": PRICE}, **model}, "free": {"targets": [f"up/{api.model}"]}},
        keys={"client": {"secret": KEY, "budget": {"usd": 100, "period": "total"}}},
        stores={"ledger": "memory://"},
        retries={"attempts": 1, "maybe_billed": True},
    )
    return Gateway(settings, transport=transport)


@every_api
def test_requests_answers_and_money(api: Api) -> None:
    transport = CannedTransport(api.reply)
    with gateway(api, transport) as asked:
        answer = asked.embed(model="mine", input=TEXTS, user="ada", key=KEY)
        assert [item.embedding for item in answer.data] == VECTORS
        assert [item.index for item in answer.data] == [0, 1]
        assert (answer.object, answer.model, answer.usage.prompt_tokens, answer.usage.total_tokens) == ("list", "mine", 3, 3)
        assert {request.url for request in transport.requests} == {api.url}
        sent = [{name: value for name, value in from_json(request.body).items() if name != "user"} for request in transport.requests]
        assert sent == api.bodies
        [balance] = asked.balances("client")
        assert (balance.spent, balance.reserved) == (3 * 10**6, 0)


@every_api
def test_base64_is_made_where_the_api_has_none(api: Api) -> None:
    with gateway(api, CannedTransport(api.reply)) as asked:
        answer = asked.embed(model="mine", input=TEXTS, encoding_format="base64")
    assert [item.embedding for item in answer.data] == [b64encode(pack("<2f", *vector)).decode() for vector in VECTORS]


@every_api
def test_dimensions_go_by_the_name_of_the_api(api: Api) -> None:
    transport = CannedTransport(api.reply)
    with gateway(api, transport) as asked:
        if api.size is None:
            with pytest.raises(InvalidRequestError, match=r"'dimensions'\. The upstream provider does not take it for this model"):
                asked.embed(model="mine", input=TEXTS, dimensions=2)
            return
        asked.embed(model="mine", input=TEXTS, dimensions=2)
    bodies = [from_json(request.body) for request in transport.requests]
    assert all(one[api.size] == 2 for body in bodies for one in body.get("requests", [body]))


@every_api
def test_a_model_without_a_price_is_not_for_callers_with_a_budget(api: Api) -> None:
    transport = CannedTransport(api.reply)
    with gateway(api, transport) as asked, pytest.raises(GatewayError, match="no price"):
        asked.embed(model="free", input=TEXTS, key=KEY)
    assert not transport.requests


@every_api
@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"data": [], "embeddings": []}', b'{"embeddings": 7, "data": 7}', b"<html>"])
def test_what_is_no_answer_is_a_failure(api: Api, body: bytes) -> None:
    with gateway(api, CannedTransport(lambda _: Reply([body]))) as asked, pytest.raises(UpstreamError) as caught:
        asked.embed(model="mine", input=TEXTS)
    assert caught.value.code == "upstream_protocol_error"


@pytest.mark.parametrize("api", [APIS["gemini"], APIS["titan"], APIS["cohere"]], ids=["gemini", "titan", "cohere"])
def test_tokens_are_refused_where_only_texts_are_taken(api: Api) -> None:
    transport = CannedTransport(api.reply)
    with gateway(api, transport) as asked, pytest.raises(InvalidRequestError, match="takes texts, and no tokens") as caught:
        asked.embed(model="mine", input=[1, 2, 3])
    assert (caught.value.param, transport.requests) == ("input", [])


def test_more_inputs_than_the_api_takes_go_in_parts() -> None:
    def reply(request: UpstreamRequest) -> Reply:
        texts = [one["content"]["parts"][0]["text"] for one in from_json(request.body)["requests"]]
        return whole({"embeddings": [{"values": [float(text)]} for text in texts], "usageMetadata": {"promptTokenCount": len(texts)}})

    transport = CannedTransport(reply)
    with gateway(APIS["gemini"], transport) as asked:
        answer = asked.embed(model="mine", input=[str(number) for number in range(250)])
    assert [len(from_json(request.body)["requests"]) for request in transport.requests] == [100, 100, 50]
    assert [(item.index, item.embedding) for item in answer.data] == [(number, [float(number)]) for number in range(250)]
    assert answer.usage.total_tokens == 250


@pytest.mark.parametrize(("status", "tokens"), [(503, 1), (504, 1 + 3)])
def test_parts_before_a_failure_are_charged_and_not_repeated(status: int, tokens: int) -> None:
    def reply(request: UpstreamRequest) -> Reply:
        return titan_reply(request) if len(transport.requests) == 1 else whole({"message": "busy"}, status=status)

    transport = CannedTransport(reply)
    with gateway(APIS["titan"], transport) as asked:
        with pytest.raises(GatewayError):
            asked.embed(model="mine", input=TEXTS, key=KEY)
        [balance] = asked.balances("client")
    assert len(transport.requests) == 2
    # The first text has one token, as the upstream has counted it. With 504 it may be at work on the second one, which is estimated.
    assert (balance.spent, balance.reserved) == (tokens * 10**6, 0)


def test_an_answer_that_does_not_fit_is_charged_and_another_target_asked() -> None:
    def reply(request: UpstreamRequest) -> Reply:
        if len(transport.requests) == 1:
            usage = {"prompt_tokens": 5, "total_tokens": 5}
            return whole({"object": "list", "data": [{"index": 0, "embedding": VECTORS[0]}], "model": "x", "usage": usage})
        return openai_reply(request)

    transport = CannedTransport(reply)
    targets = ["up/text-embedding-3-small", "up/text-embedding-3-large"]
    with gateway(APIS["openai"], transport, targets=targets) as asked:
        assert len(asked.embed(model="mine", input=TEXTS, key=KEY).data) == 2
        [balance] = asked.balances("client")
        assert (balance.spent, balance.reserved) == ((5 + 3) * 10**6, 0)
        with pytest.raises(InvalidRequestError, match="does not support specifying dimensions"):
            asked.embed(model="mine", input=TEXTS, dimensions=7, key=KEY)
        [balance] = asked.balances("client")
        assert (balance.spent, balance.reserved) == ((5 + 3 + 3) * 10**6, 0)


@pytest.mark.parametrize(
    ("api", "reply", "dropped"),
    [("gemini", gemini_reply, ("user",)), ("cohere", cohere_reply, ("user",)), ("openai", openai_reply, ())],
)
def test_clients_are_told_what_is_left_out(api: str, reply: Callable[[UpstreamRequest], Reply], dropped: tuple[str, ...]) -> None:
    transport = CannedTransport(reply)
    with gateway(APIS[api], transport) as asked:
        assert asked.embed(model="mine", input=TEXTS, user="ada").dropped_params == dropped
        assert asked.explain(model="mine", input=TEXTS, user="ada").targets[0].dropped == list(dropped)
    assert (b"ada" in (transport.requests[0].body or b"")) is (not dropped)


def test_parameters_of_the_vendor_are_those_of_each_text() -> None:
    transport = CannedTransport(gemini_reply)
    with gateway(APIS["gemini"], transport, forward_params=["taskType"]) as asked:
        asked.embed(model="mine", input=TEXTS, taskType="RETRIEVAL_QUERY")
    assert [one["taskType"] for one in from_json(transport.requests[0].body)["requests"]] == ["RETRIEVAL_QUERY"] * 2


def test_the_end_of_a_search_may_be_chosen_for_cohere() -> None:
    transport = CannedTransport(cohere_reply)
    with gateway(APIS["cohere"], transport, forward_params=["input_type"]) as asked:
        asked.embed(model="mine", input=TEXTS, input_type="search_query")
    assert from_json(transport.requests[0].body) == {**COHERE_BODY, "input_type": "search_query"}


def test_a_custom_format_may_have_embeddings() -> None:
    class WithEmbeddings(ToyFormat):
        embeddings = openai_embeddings

    transport = CannedTransport(openai_reply)
    provider = {"api": "custom", "base_url": "https://toy.test/v9", "api_key": "canary-key"}
    settings = Settings(providers={"toy": provider}, models={"mine": {"targets": ["toy/embed"]}})
    with Gateway(settings, providers={"toy": WithEmbeddings()}, transport=transport) as asked:
        assert [item.embedding for item in asked.embed(model="mine", input=TEXTS).data] == VECTORS
    assert [request.url for request in transport.requests] == ["https://toy.test/v9/embeddings"]
    with pytest.raises(ConfigurationError, match=r"models\.mine\.targets\[0\]: the API of the provider has no embeddings"):
        Gateway(settings, providers={"toy": ToyFormat()})


def test_googles_sdk_sends_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    genai = pytest.importorskip("google.genai")
    sent: list[Any] = []

    def request(method: str, path: str, body: dict[str, Any], options: Any) -> Any:
        sent.append((path, body))
        return genai.types.HttpResponse(headers={}, body=b'{"embeddings": [{"values": [1]}, {"values": [1]}]}')

    client = genai.Client(api_key="canary-key")
    monkeypatch.setattr(client._api_client, "request", request)
    client.models.embed_content(model="gemini-embedding-001", contents=TEXTS, config={"output_dimensionality": 2})
    transport = CannedTransport(gemini_reply)
    with gateway(APIS["gemini"], transport) as asked:
        asked.embed(model="mine", input=TEXTS, dimensions=2)
    [(path, body)] = sent
    [ours] = transport.requests
    assert ours.url.endswith(path)
    assert [without_roles(one) for one in body["requests"]] == from_json(ours.body)["requests"]


def without_roles(request: dict[str, Any]) -> dict[str, Any]:
    return {**request, "content": {"parts": request["content"]["parts"]}}


@pytest.mark.parametrize(
    ("provider", "model", "words"),
    [
        ({"api": "anthropic", "api_key": "canary-key"}, "claude", r"models.m.targets\[0\]: the API of the provider has no embeddings"),
        (AWS, "amazon.nova-lite", r"models.m.targets\[0\]: the embeddings of Bedrock's model `amazon.nova-lite` are not known"),
    ],
)
def test_what_makes_no_embeddings_is_no_target_of_an_embeddings_model(provider: dict[str, Any], model: str, words: str) -> None:
    settings = Settings(providers={"up": provider}, models={"m": {"kind": "embeddings", "targets": [f"up/{model}"]}})
    with pytest.raises(ConfigurationError, match=words):
        Gateway(settings)
