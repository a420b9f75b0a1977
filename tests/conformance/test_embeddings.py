"""`POST {prefix}/embeddings` in every host, and the same requests as direct calls (docs/contract.md, Embeddings)."""

import json
import struct
from base64 import b64decode
from typing import Any

import pytest
from openai.types import CreateEmbeddingResponse

from completions_mw import Gateway, GatewayError
from tests.conformance.customer import CustomerMaker
from tests.conformance.embeddings_corpus import BASE, OTHER_KINDS, ROWS, Row
from tests.conformance.given import EMBEDDING_MODELS, INPUT_NANO, JSON, KEY, LIMITED_KEY, MESSAGES
from tests.hosts.base import CHAT, EMBEDDINGS, Host, HostResponse, Project, bearer
from tests.support import upstream_answers as answers
from tests.support.upstream import MockUpstream

TEXTS = ["one two", "three"]


def embed(host: Host, key: str = KEY, **fields: Any) -> HostResponse:
    """Return the answer to an embeddings request."""
    return host.request("POST", EMBEDDINGS, (*bearer(key), *JSON), json.dumps({**BASE, **fields}).encode())


def told(error: Any) -> tuple[int, Any]:
    return error.status, {"message": error.message, "type": error.type, "param": error.param, "code": error.code}


def test_every_host_answers_as_openai_does(host: Host) -> None:
    answered = {row.id: embed(host, **row.fields) for row in ROWS}
    assert {id: (response.status, response.error) for id, response in answered.items()} == {row.id: (row.status, row.error) for row in ROWS}


@pytest.fixture(scope="module")
def gateway(project: Project) -> Gateway:
    return Gateway(project.settings)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_a_direct_call_raises_what_http_answers(gateway: Gateway, row: Row) -> None:
    with pytest.raises(GatewayError) as caught:
        gateway.embed(**row.fields)
    assert told(caught.value) == (row.status, row.error)


@pytest.mark.parametrize(("path", "model", "status", "error"), OTHER_KINDS, ids=["chat-for-embeddings", "embeddings-for-chat"])
def test_a_model_of_the_other_kind(host: Host, path: str, model: str, status: int, error: Any) -> None:
    body = {"model": model, **({"input": "hi"} if path == EMBEDDINGS else {"messages": MESSAGES})}
    response = host.request("POST", path, (*bearer(KEY), *JSON), json.dumps(body).encode())
    assert (response.status, response.error) == (status, error)


@pytest.mark.parametrize(
    "fields",
    [{}, {"encoding_format": "float"}, {"encoding_format": "base64"}, {"dimensions": 5}],
    ids=["default", "float", "base64", "dimensions"],
)
@pytest.mark.parametrize("given", ["one two", TEXTS, [7, 8, 9], [[7], [8, 9]]], ids=["text", "texts", "tokens", "token-lists"])
def test_the_upstreams_bytes_are_relayed(host: Host, upstream: MockUpstream, given: Any, fields: dict[str, Any]) -> None:
    response = embed(host, model="embed-up", input=given, **fields)
    [received] = upstream.requests
    assert received.json == {"model": "embed", "input": given, **fields}
    assert response.status == 200
    # Only the name of the model is another one.
    sent = json.dumps(answers.embeddings(received.json)).encode()
    assert response.body == sent.replace(b'"model": "embed"', b'"model":"embed-up"')
    assert response.headers["content-length"] == str(len(response.body))
    CreateEmbeddingResponse.model_validate({**response.json(), "data": []})


@pytest.mark.parametrize("encoding_format", ["float", "base64"])
def test_a_model_in_this_process(host: Host, encoding_format: str) -> None:
    response = embed(host, input=["a a", "a", "b"], encoding_format=encoding_format, dimensions=6)
    answer = response.json()
    assert (answer["object"], answer["model"], answer["usage"]) == ("list", "embed", {"prompt_tokens": 4, "total_tokens": 4})
    vectors = [item["embedding"] for item in answer["data"]]
    if encoding_format == "base64":
        vectors = [list(struct.unpack("<6f", b64decode(vector))) for vector in vectors]
    first, second, third = vectors
    assert first == second != third
    assert sum(first) == 1.0


@pytest.mark.parametrize(
    ("model", "code"),
    [("embed-wrong", "upstream_protocol_error"), ("embed-none", "upstream_protocol_error"), ("embed-down", "upstream_error")],
)
def test_an_upstream_that_fails(host: Host, upstream: MockUpstream, model: str, code: str) -> None:
    response = embed(host, model=model)
    assert (response.status, response.error["code"]) == (502, code)


def test_other_verbs_and_strangers(host: Host) -> None:
    refused = host.request("GET", EMBEDDINGS, bearer(KEY))
    assert (refused.status, refused.headers["allow"]) == (405, "POST")
    assert host.request("POST", EMBEDDINGS, JSON, b"{}").status == 401
    assert embed(host, key=LIMITED_KEY).error["code"] == "model_not_found"


def test_a_budget_and_limits_move_by_the_usage(customer: CustomerMaker, upstream: MockUpstream) -> None:
    budgeted = customer(budget={"usd": "0.2", "period": "total"}, limits={"requests": "9/hour", "tokens": "100/hour"})
    response = embed(budgeted.host, budgeted.created.secret, model="embed-up", input=TEXTS)
    assert (response.status, response.json()["usage"]) == (200, {"prompt_tokens": 3, "total_tokens": 3})
    assert response.headers["x-ratelimit-remaining-requests"] == "8"
    assert response.headers["x-ratelimit-remaining-tokens"] == "96"
    row = budgeted.usage()
    assert (row.prompt_tokens, row.completion_tokens, row.cost_nano, row.estimated) == (3, 0, 3 * INPUT_NANO, 0)
    assert budgeted.balance()[4:] == (3 * INPUT_NANO, 0)
    too_large = embed(budgeted.host, budgeted.created.secret, model="embed-up", input=[list(range(101))])
    assert (too_large.status, too_large.error["type"]) == (429, "tokens")
    assert "Budget limit exceeded" in embed(budgeted.host, budgeted.created.secret, model="embed-up", input="x" * 360).error["message"]


def test_usage_that_is_not_reported_is_estimated(customer: CustomerMaker, upstream: MockUpstream) -> None:
    budgeted = customer(budget={"usd": "1", "period": "total"})
    response = embed(budgeted.host, budgeted.created.secret, model="embed-silent", input=["x" * 40, [1, 2, 3]][:1])
    assert (response.status, response.json()["object"], response.json()["usage"]) == (
        200,
        "list",
        {"prompt_tokens": 10, "total_tokens": 10},
    )
    row = budgeted.usage()
    assert (row.prompt_tokens, row.cost_nano, row.estimated) == (10, 10 * INPUT_NANO, 1)


def test_the_models_are_listed(host: Host) -> None:
    listed = {card["id"] for card in host.request("GET", CHAT.replace("chat/completions", "models"), bearer(KEY)).json()["data"]}
    assert listed >= set(EMBEDDING_MODELS)
