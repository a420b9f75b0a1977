"""Embeddings of Bedrock: `InvokeModel`, whose body has the form of the model's vendor.

Sources: the pages model-parameters-titan-embed-text.html, model-parameters-embed-v3.html and model-parameters-embed-v4.html below
https://docs.aws.amazon.com/bedrock/latest/userguide/.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from pydantic_core import from_json, to_json

from completions_mw.errors import ConfigurationError
from completions_mw.http import Headers, UpstreamRequest
from completions_mw.providers.base import Completion
from completions_mw.providers.embeddings import list_of, texts_of, unusable_embeddings_error
from completions_mw.providers.endpoint import Endpoint
from completions_mw.providers.fields import vendor_fields
from completions_mw.providers.untranslatable import untranslatable
from completions_mw.schemas import EmbeddingRequest

__all__ = ["build_embedding_request", "max_inputs", "parse_embeddings"]

_TITAN, _TITAN_WITH_DIMENSIONS = "amazon.titan-embed-text", "amazon.titan-embed-text-v2"
_COHERE, _COHERE_WITH_DIMENSIONS = "cohere.embed", "cohere.embed-v4"
_MAX_INPUTS: Final = {_TITAN: 1, _COHERE: 96}
_INPUT_TOKENS: Final = "x-amzn-bedrock-input-token-count"


def max_inputs(model: str) -> int:
    """Return the inputs that one request may have: Titan takes one text.

    Raises:
        ConfigurationError: the model is neither one of Titan nor one of Cohere.
    """
    for name, inputs in _MAX_INPUTS.items():
        if name in model:
            return inputs
    raise ConfigurationError(f"the embeddings of Bedrock's model `{model}` are not known: there are those of {_TITAN} and {_COHERE}")


def build_embedding_request(endpoint: Endpoint, model: str, fields: Mapping[str, Any]) -> UpstreamRequest:
    """Return the HTTP request for `fields`.

    Raises:
        InvalidRequestError: the request has tokens instead of texts, or `dimensions` for a model whose vectors have one length only.
    """
    texts = texts_of(fields)
    body = vendor_fields(fields, EmbeddingRequest)
    if _TITAN in model:
        body["inputText"], size, sized = texts[0], "dimensions", _TITAN_WITH_DIMENSIONS
    else:
        # Required by the API: the value for stored texts, not that for queries. Clients can choose where `forward_params` has it.
        body = {"input_type": "search_document", **body, "texts": texts, "embedding_types": ["float"]}
        size, sized = "output_dimension", _COHERE_WITH_DIMENSIONS
    if "dimensions" in fields:
        if sized not in model:
            raise untranslatable("dimensions", "does not take it for this model", is_value=False)
        body[size] = fields["dimensions"]
    # Ids have colons, and ARNs have slashes too.
    url = f"{endpoint.url}/model/{quote(model, safe='')}/invoke"
    return UpstreamRequest(url, endpoint.headers, to_json(body), timeouts=endpoint.whole_timeouts)


def parse_embeddings(body: bytes, headers: Headers) -> Completion:
    """Return the vectors in the body of an answer. Cohere's models report their tokens in a header only.

    Raises:
        UpstreamError: the body is not an answer of these models.
    """
    try:
        data = from_json(body, allow_inf_nan=False)
        if "embedding" in data:
            return list_of([data["embedding"]], data.get("inputTextTokenCount"))
        found = data["embeddings"]
        tokens = next((value for name, value in headers if name == _INPUT_TOKENS), "")
        return list_of(found["float"] if isinstance(found, dict) else found, int(tokens) if tokens.isdecimal() else None)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise unusable_embeddings_error() from None
