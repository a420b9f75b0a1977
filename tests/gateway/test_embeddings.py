"""`gateway.embed`, in both gateways: functions as models, cache, limits, fallback and dry runs (docs/embeddings.md)."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from completions_mw import AsyncGateway, ConfigurationError, EmbeddingRequest, EmbeddingResponse, Gateway, Request, Settings
from completions_mw.errors import InvalidRequestError, NotFoundError, PermissionDeniedError, UpstreamError

KEY = "sk-not-a-secret"
CALLS: list[EmbeddingRequest] = []


def lengths(request: EmbeddingRequest) -> list[list[float]]:
    """Say how long each input is."""
    CALLS.append(request)
    return [[float(len(one)), 1.0] for one in request.inputs]


async def lengths_async(request: EmbeddingRequest) -> list[list[float]]:
    await asyncio.sleep(0)
    return lengths(request)


class Asked:
    """A gateway of either kind."""

    def __init__(self, kind: str, function: Callable[[Any], Any], **tree: Any) -> None:
        settings = Settings(keys={"client": {"secret": KEY}}, stores={"ledger": "memory://"}, **tree)
        made = AsyncGateway if kind == "async" else Gateway
        self.gateway: Any = made(settings, embeddings={"mine": function})

    def call(self, name: str, *args: Any, **options: Any) -> Any:
        result = getattr(self.gateway, name)(*args, **options)
        return asyncio.run(_wait(result)) if asyncio.iscoroutine(result) else result

    def embed(self, input: Any = "hello", **fields: Any) -> EmbeddingResponse:
        answer: EmbeddingResponse = self.call("embed", **{"model": "mine", "input": input, **fields})
        return answer


async def _wait(coroutine: Any) -> Any:
    return await coroutine


@pytest.fixture(autouse=True)
def no_calls() -> None:
    CALLS.clear()


every_gateway = pytest.mark.parametrize(("kind", "function"), [("blocking", lengths), ("async", lengths), ("async", lengths_async)])


@every_gateway
def test_a_function_is_an_embeddings_model(kind: str, function: Callable[[Any], Any]) -> None:
    asked = Asked(kind, function)
    answer = asked.embed(["a", "bcd"], key=KEY)
    assert [item.embedding for item in answer.data] == [[1.0, 1.0], [3.0, 1.0]]
    assert (answer.object, answer.model, answer.usage.total_tokens, answer.cached) == ("list", "mine", 2, False)
    [request] = CALLS
    assert (request.inputs, request.caller.id) == (["a", "bcd"], "client")
    [row] = asked.call("usage")
    assert (row.requests, row.prompt_tokens, row.completion_tokens) == (1, 2, 0)
    assert [card.id for card in asked.call("models").data] == ["mine"]


@every_gateway
def test_identical_requests_are_answered_from_the_cache(kind: str, function: Callable[[Any], Any]) -> None:
    asked = Asked(kind, function, cache={"enabled": True}, models={"mine": {"cache": {"enabled": True}}})
    first, second, other = asked.embed("hello", key=KEY), asked.embed("hello", key=KEY), asked.embed("hello", encoding_format="base64")
    assert (first.cached, second.cached, other.cached) == (False, True, False)
    assert (second.data, second.usage) == (first.data, first.usage)
    assert isinstance(other.data[0].embedding, str)
    assert len(CALLS) == 2
    [row] = asked.call("usage", key="client")
    assert (row.requests, row.prompt_tokens, row.from_cache) == (2, 2, 1)


def test_identical_requests_at_once_cost_one_call() -> None:
    asked = Asked("async", lengths_async, cache={"enabled": True}, models={"mine": {"cache": {"enabled": True}}})

    async def both() -> list[EmbeddingResponse]:
        answers: list[EmbeddingResponse] = await asyncio.gather(
            *(asked.gateway.embed(model="mine", input="hello", key=KEY) for _ in range(2))
        )
        return answers

    first, second = asyncio.run(both())
    assert (first.data, first.usage) == (second.data, second.usage)
    assert sorted((first.cached, second.cached)) == [False, True]
    assert len(CALLS) == 1


def test_a_hit_is_sent_as_the_answer_was() -> None:
    asked = Asked("blocking", lengths, cache={"enabled": True}, models={"mine": {"cache": {"enabled": True}}})
    headers = (("authorization", f"Bearer {KEY}"), ("content-type", "application/json"))
    request = Request("POST", "/api/v1/embeddings", headers, json.dumps({"model": "mine", "input": ["a", "b"]}).encode())
    first, second = asked.gateway.handle(request), asked.gateway.handle(request)
    assert [dict(response.headers)["x-cache"] for response in (first, second)] == ["miss", "hit"]
    assert (first.status, first.body) == (second.status, second.body)


@pytest.mark.parametrize("kind", ["blocking", "async"])
def test_another_target_makes_the_vectors_where_the_first_cannot(kind: str) -> None:
    def fails(request: EmbeddingRequest) -> Any:
        raise UpstreamError("down")

    providers = {"local": {"api": "echo"}, "gone": {"api": "openai", "base_url": "http://127.0.0.1:1/v1"}}
    asked = Asked(kind, fails, providers=providers, models={"both": {"targets": ["gone/embed", "local/embed"]}}, retries={"attempts": 1})
    assert len(asked.embed(model="both").data[0].embedding) == 16
    with pytest.raises(UpstreamError):
        asked.embed()


@pytest.mark.parametrize("kind", ["blocking", "async"])
def test_each_model_is_asked_for_what_it_gives(kind: str) -> None:
    asked = Asked(kind, lengths, providers={"local": {"api": "echo"}}, models={"chat": {"targets": ["local/m"]}})
    with pytest.raises(PermissionDeniedError, match="You are not allowed to generate embeddings from this model"):
        asked.embed(model="chat")
    with pytest.raises(NotFoundError, match="Did you mean to use v1/embeddings"):
        asked.call("complete", model="mine", messages=[{"role": "user", "content": "hi"}])
    with pytest.raises(NotFoundError, match="`nowhere` does not exist"):
        asked.embed(model="nowhere")


@pytest.mark.parametrize(
    ("model", "options", "kind"),
    [
        ({"targets": ["local/text-embedding-3-small"]}, {}, "embeddings"),
        ({"targets": ["local/Nomic-Embed", "local/embed"]}, {}, "embeddings"),
        ({"targets": ["local/embed", "local/bge-m3"]}, {}, "chat"),
        ({"targets": ["local/bge-m3"]}, {}, "chat"),
        ({"targets": ["local/bge-m3"], "kind": "embeddings"}, {}, "embeddings"),
        ({"targets": ["local/embed"], "kind": "chat"}, {}, "chat"),
        ({}, {"models": {"m": lengths}}, "chat"),
        ({}, {"embeddings": {"m": lengths}}, "embeddings"),
        ({"kind": "embeddings"}, {"models": {"m": lengths}}, "embeddings"),
    ],
)
def test_what_a_model_is_asked_for(model: dict[str, Any], options: Any, kind: str) -> None:
    gateway = Gateway(Settings(providers={"local": {"api": "echo"}}, models={"m": model}), **options)
    if kind == "embeddings":
        assert gateway.embed(model="m", input="hi").data
    else:
        with pytest.raises(PermissionDeniedError):
            gateway.embed(model="m", input="hi")


@pytest.mark.parametrize(
    ("models", "options", "words"),
    [
        ({}, {"models": {"m": lengths}, "embeddings": {"m": lengths}}, "embeddings.m: is given in `models` too"),
        ({"m": {"kind": "chat"}}, {"embeddings": {"m": lengths}}, 'models.m.kind: is "chat", and the function is given in `embeddings`'),
        ({"m": {"targets": ["local/embed"]}}, {"embeddings": {"m": lengths}}, "models.m: has targets, and is given as a Python function"),
        ({}, {"embeddings": {"m": lambda: None}}, "models.m: .*should take the request"),
    ],
)
def test_what_cannot_be_is_named(models: Any, options: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Gateway(Settings(providers={"local": {"api": "echo"}}, models=models), **options)


def test_prices_of_a_chat_model_have_an_output() -> None:
    with pytest.raises(ConfigurationError, match=r"models\.m\.prices\.output: is missing"):
        Settings(providers={"local": {"api": "echo"}}, models={"m": {"targets": ["local/m"], "prices": {"input": 1}}})


def test_the_bounds_of_a_batch_are_settings() -> None:
    asked = Asked("blocking", lengths, embeddings={"max_inputs": 2, "max_tokens": 10})
    with pytest.raises(InvalidRequestError, match="Expected an array with maximum length 2, but got an array with length 3"):
        asked.embed(["a", "b", "c"])
    with pytest.raises(InvalidRequestError, match="Requested 11 tokens, max 10 tokens per request"):
        asked.embed([list(range(11))])
    with pytest.raises(InvalidRequestError, match="Requested 11 tokens, max 10 tokens per request"):
        asked.embed("x" * 41)
    assert asked.embed([list(range(5)), list(range(5))]).data


def test_as_many_tokens_as_openai_takes_are_taken() -> None:
    tokens = [list(range(8000)) for _ in range(37)]
    assert len(Asked("blocking", lengths).embed(tokens).data) == 37


def test_a_dry_run_asks_nobody() -> None:
    asked = Asked("blocking", lengths)
    headers = (("authorization", f"Bearer {KEY}"), ("content-type", "application/json"), ("x-dry-run", "1"))
    response = asked.gateway.handle(
        Request("POST", "/api/v1/embeddings", headers, json.dumps({"model": "mine", "input": "hello"}).encode())
    )
    told = json.loads(response.body)
    assert (response.status, told["targets"][0]["target"], told["tokens"]["prompt"]) == (200, "python/mine", 2)
    assert not CALLS
