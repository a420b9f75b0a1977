"""An embeddings model that counts words: for tests, first steps and load tests. Equal words make texts similar, and nothing is random.

Each word adds to one place of the vector, which has length 1. `dimensions` is obeyed. A token of the usage is a word, or a token that the
client sent.
"""

from math import sqrt
from typing import Any, Final
from zlib import crc32

from completions_mw.errors import InvalidRequestError
from completions_mw.schemas import EmbeddingRequest

DEFAULT_DIMENSIONS: Final = 16
MAX_DIMENSIONS: Final = 4096


def echo_embeddings(request: EmbeddingRequest) -> dict[str, Any]:
    """Answer `request`: a model for `BlockingFunctionModel` and `AsyncFunctionModel`.

    Raises:
        InvalidRequestError: the client asks for more dimensions than there are.
    """
    dimensions = request.dimensions or DEFAULT_DIMENSIONS
    if dimensions > MAX_DIMENSIONS:
        text = f"integer above maximum value. Expected a value <= {MAX_DIMENSIONS}, but got {dimensions} instead."
        raise InvalidRequestError(f"Invalid 'dimensions': {text}", param="dimensions", code="integer_above_max_value")
    words = [one.split() or [one] if isinstance(one, str) else [str(token) for token in one] for one in request.inputs]
    tokens = sum(map(len, words))
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"data": [{"embedding": _vector(said, dimensions)} for said in words], "usage": usage}


def _vector(words: list[str], dimensions: int) -> list[float]:
    counts = [0] * dimensions
    for word in words:
        counts[crc32(word.lower().encode("utf-8", "replace")) % dimensions] += 1
    length = sqrt(sum(count * count for count in counts))
    return [count / length for count in counts]
