"""Embeddings of all APIs: the texts of a request, and OpenAI's `list` object for vectors that come in other words."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from completions_mw.errors import UpstreamError
from completions_mw.providers.base import Completion
from completions_mw.providers.untranslatable import untranslatable
from completions_mw.schemas import EmbeddingRequest
from completions_mw.schemas.embeddings import inputs_of

_DECLARED: Final = frozenset(EmbeddingRequest.model_fields)


def texts_of(fields: Mapping[str, Any]) -> list[str]:
    """Return the texts of a request.

    Raises:
        InvalidRequestError: the request has tokens, of which each model has its own.
    """
    inputs = inputs_of(fields["input"])
    texts = [one for one in inputs if isinstance(one, str)]
    if len(texts) != len(inputs):
        raise untranslatable("input", "takes texts, and no tokens")
    return texts


def vendor_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that OpenAI's API does not have, which are here because the settings forward them."""
    return {name: value for name, value in fields.items() if name not in _DECLARED}


def list_of(vectors: object, prompt_tokens: object) -> Completion:
    """Return the answer with `vectors`.

    Args:
        vectors: a list of vectors, each a list of numbers.
        prompt_tokens: number of tokens of all inputs; anything else if it is not known.

    Raises:
        UpstreamError: `vectors` is no such list.
    """
    if not isinstance(vectors, Sequence) or not vectors or not all(isinstance(vector, list) for vector in vectors):
        raise unusable_embeddings_error()
    data: dict[str, Any] = {"object": "list", "data": [{"embedding": vector} for vector in vectors]}
    if type(prompt_tokens) is int:
        data["usage"] = {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens}
    return Completion(data)


def unusable_embeddings_error() -> UpstreamError:
    """Return the error for an answer that is no list of embeddings."""
    return UpstreamError("The upstream provider sent an answer that is not a list of embeddings.", code="upstream_protocol_error")
