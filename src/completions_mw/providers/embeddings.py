"""What embeddings of several APIs have in common: the texts of a request, and OpenAI's `list` object for vectors in another form."""

from collections.abc import Mapping, Sequence
from typing import Any

from completions_mw.errors import UpstreamError
from completions_mw.providers.base import Completion
from completions_mw.providers.untranslatable import untranslatable
from completions_mw.schemas.embeddings import inputs_of


def texts_of(fields: Mapping[str, Any]) -> list[str]:
    """Return the texts of a request.

    Raises:
        InvalidRequestError: the request has tokens, which mean something else to each model.
    """
    inputs = inputs_of(fields["input"])
    texts = [one for one in inputs if isinstance(one, str)]
    if len(texts) != len(inputs):
        raise untranslatable("input", "takes texts, and no tokens")
    return texts


def list_of(vectors: object, prompt_tokens: object) -> Completion:
    """Return vectors as OpenAI's `list` object.

    Args:
        vectors: a list of vectors, each a list of numbers.
        prompt_tokens: number of tokens of all inputs; left out if it is not an integer.

    Raises:
        UpstreamError: `vectors` is not a list of vectors.
    """
    if not isinstance(vectors, Sequence) or not vectors or not all(isinstance(vector, list) for vector in vectors):
        raise unusable_embeddings_error()
    data: dict[str, Any] = {"object": "list", "data": [{"embedding": vector} for vector in vectors]}
    if type(prompt_tokens) is int:
        data["usage"] = {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens}
    return Completion(data)


def unusable_embeddings_error() -> UpstreamError:
    """Return the error for an answer that is not a list of embeddings."""
    return UpstreamError("The upstream provider sent an answer that is not a list of embeddings.", code="upstream_protocol_error")
