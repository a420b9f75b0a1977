"""From the items of an embeddings model to OpenAI's `list` object."""

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any

from completions_mw.backends.models.chunks import plain
from completions_mw.backends.models.stream import ItemSource
from completions_mw.schemas import EmbeddingRequest


async def collect_vectors(source: ItemSource, request: EmbeddingRequest) -> dict[str, Any]:
    """Return the whole answer of `source`, and close it.

    Args:
        source: items of the model: vectors, or one object in the shape of OpenAI's answer.
        request: what the model answers.

    Raises:
        TypeError: an item is neither, or there is not one vector for each input.
        ValueError: a number is not finite.
    """
    items: list[Any] = []
    try:
        while True:
            try:
                items += map(plain, await source.__anext__())
            except StopAsyncIteration:
                break
    finally:
        await source.aclose()
    answer: dict[str, Any] = {"data": [{"embedding": vector} for vector in items]}
    if len(items) == 1 and isinstance(items[0], Mapping):
        answer = {**items[0], "data": _embeddings_in(items[0])}
    answer["data"] = [{**item, "embedding": _vector(item.get("embedding"))} for item in answer["data"]]
    if len(answer["data"]) != len(request.inputs):
        raise TypeError(f"an embeddings model returned {len(answer['data'])} vectors for {len(request.inputs)} inputs")
    return answer


def _embeddings_in(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    data = answer.get("data")
    if not isinstance(data, list) or not all(isinstance(item, Mapping) for item in data):
        raise TypeError("the answer of an embeddings model should have `data`, a list of objects with an `embedding`")
    return data


def _vector(value: object) -> list[float] | str:
    """Return a vector with Python's numbers, whatever library made it; one in base64 as it is."""
    if isinstance(value, str):
        return value
    if not isinstance(value, Iterable) or isinstance(value, Mapping | bytes):
        raise TypeError(f"an embeddings model should return a list of vectors, each a list of numbers; one is {type(value).__name__}")
    numbers = [float(number) for number in value]
    if not all(map(isfinite, numbers)):
        raise ValueError("an embeddings model returned a number that is not finite")
    return numbers
