"""Embeddings models in this process: Python functions, echo, and llama.cpp."""

from collections.abc import AsyncIterator, Iterator
from math import sqrt
from typing import Any

import pytest
from openai.types import CreateEmbeddingResponse

from completions_mw.backends.models.echo_embeddings import echo_embeddings
from completions_mw.core.ports import Model
from completions_mw.errors import GatewayError, InvalidRequestError
from completions_mw.schemas import EmbeddingRequest, EmbeddingResponse
from completions_mw.settings import LlamaCppSettings
from tests.support.in_process import Kind, every_kind

TWO = [[1.0, 0.0], [0.5, 0.25]]
WHOLE = {
    "object": "list",
    "model": "x",
    "data": [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(TWO)],
    "usage": {"prompt_tokens": 2, "total_tokens": 2},
}


class Array:
    """A vector of a library, as numpy's."""

    def __init__(self, *numbers: float) -> None:
        self._numbers = numbers

    def __iter__(self) -> Iterator[float]:
        return iter(self._numbers)


async def returns_async(_: EmbeddingRequest) -> Any:
    return TWO


def yields(_: EmbeddingRequest) -> Iterator[Any]:
    yield from TWO


async def yields_async(_: EmbeddingRequest) -> AsyncIterator[Any]:
    for vector in TWO:
        yield vector


def ask(given: Any = ("a", "b"), **fields: Any) -> EmbeddingRequest:
    return EmbeddingRequest.model_validate({"model": "m", "input": list(given) if isinstance(given, tuple) else given, **fields})


def embed(kind: Kind, model: Model, request: EmbeddingRequest) -> dict[str, Any]:
    async def scenario() -> dict[str, Any]:
        try:
            return await model.embed(request)
        finally:
            await model.aclose()

    return kind.run(scenario)


@every_kind
@pytest.mark.parametrize(
    "function",
    [
        lambda _: TWO,
        lambda _: (tuple(vector) for vector in TWO),
        lambda _: [Array(1, 0), Array(0.5, 0.25)],
        lambda _: Array(*TWO),  # type: ignore[arg-type]
        lambda _: WHOLE,
        lambda _: CreateEmbeddingResponse.model_validate(WHOLE),
        lambda _: EmbeddingResponse.model_validate(WHOLE),
        returns_async,
        yields,
        yields_async,
    ],
    ids=["lists", "tuples", "arrays", "matrix", "whole", "openais", "ours", "async", "yields", "yields-async"],
)
def test_what_a_function_may_give_back(kind: Kind, function: Any) -> None:
    answer = embed(kind, kind.function(function, 0), ask())
    assert [item["embedding"] for item in answer["data"]] == TWO


@every_kind
@pytest.mark.parametrize(
    ("given", "error"),
    [
        ([1.0, 2.0], TypeError),
        ([[1.0]], TypeError),
        ([[1.0]] * 3, TypeError),
        ([["x"], ["y"]], ValueError),
        ([[float("nan")], [1.0]], ValueError),
        ([[float("inf")], [1.0]], ValueError),
        (None, TypeError),
        ({"data": 7}, TypeError),
        ({"data": [{"embedding": [1.0]}]}, TypeError),
        ({"data": [{}, {}]}, TypeError),
    ],
    ids=["flat", "too-few", "too-many", "texts", "nan", "infinity", "none", "no-data", "too-few-whole", "no-vectors"],
)
def test_what_it_may_not(kind: Kind, given: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        embed(kind, kind.function(lambda _: given, 0), ask())


@every_kind
def test_an_error_of_the_gateway_passes(kind: Kind) -> None:
    def refuses(_: EmbeddingRequest) -> Any:
        raise InvalidRequestError("No.")

    with pytest.raises(InvalidRequestError, match=r"^No\.$"):
        embed(kind, kind.function(refuses, 0), ask())


@pytest.mark.parametrize(
    ("given", "inputs"),
    [("a b", ["a b"]), (["a", "b"], ["a", "b"]), ([1, 2], [[1, 2]]), ([[1], [2, 3]], [[1], [2, 3]])],
    ids=["text", "texts", "tokens", "token-lists"],
)
def test_a_function_finds_its_inputs_in_a_list(given: Any, inputs: Any) -> None:
    assert ask(given).inputs == inputs


def test_echo_counts_words() -> None:
    answer = echo_embeddings(ask(["a b", "b a", "a"], dimensions=64))
    first, second, third = (item["embedding"] for item in answer["data"])
    assert first == second != third
    assert len(first) == 64
    assert sqrt(sum(number**2 for number in first)) == pytest.approx(1)
    assert answer["usage"] == {"prompt_tokens": 5, "total_tokens": 5}
    assert len(echo_embeddings(ask([" "]))["data"][0]["embedding"]) == 16
    with pytest.raises(InvalidRequestError, match="Expected a value <= 4096, but got 10000 instead"):
        echo_embeddings(ask(dimensions=10_000))


@every_kind
def test_llama_cpp_makes_real_embeddings(kind: Kind) -> None:
    model = kind.llama_cpp(LlamaCppSettings(api="llama_cpp", pooling="mean", context=64), 0)
    answer = embed(kind, model, ask(["a dog", "a puppy", "tax law"]))
    dog, puppy, law = (item["embedding"] for item in answer["data"])
    assert len(dog) == 576
    assert cosine(dog, puppy) > cosine(dog, law)
    assert answer["usage"]["prompt_tokens"] > 3
    assert "gguf" not in str(answer)
    [item] = embed(kind, model, ask([1, 2, 3], encoding_format="base64"))["data"]
    assert isinstance(item["embedding"], str)


def cosine(one: list[float], other: list[float]) -> float:
    """Return how alike two vectors of length 1 are."""
    return sum(left * right for left, right in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("settings", "given", "message", "code"),
    [
        ({"pooling": "mean"}, "word " * 100, "This model's maximum context length is 64 tokens", "context_length_exceeded"),
        ({"pooling": "mean"}, [10**9], "Prompt contains invalid tokens", None),
        ({}, "a", "Pooling type 'none' is not OAI compatible", None),
    ],
    ids=["too-long", "no-token", "no-pooling"],
)
def test_what_llama_cpp_refuses(settings: dict[str, Any], given: Any, message: str, code: str | None) -> None:
    from tests.support.in_process import BLOCKING

    model = BLOCKING.llama_cpp(LlamaCppSettings(api="llama_cpp", context=64, **settings), 0)
    with pytest.raises(GatewayError, match=message) as caught:
        embed(BLOCKING, model, ask(given))
    assert (caught.value.status, caught.value.code) == (400, code)
