"""Embeddings of the Gemini API: `batchEmbedContents`. Source: https://ai.google.dev/api/embeddings."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic_core import from_json, to_json

from completions_mw.http import Headers, UpstreamRequest
from completions_mw.providers.base import Completion
from completions_mw.providers.embeddings import list_of, texts_of, unusable_embeddings_error
from completions_mw.providers.endpoint import Endpoint
from completions_mw.providers.fields import vendor_fields
from completions_mw.providers.gemini.request import path_of
from completions_mw.schemas import EmbeddingRequest

__all__ = ["build_embedding_request", "max_inputs", "parse_embeddings"]

MAX_INPUTS: Final = 100
"""Requests in a batch. The API refuses more, and its documentation does not say so."""


def max_inputs(model: str) -> int:
    """Return the inputs that one request may have."""
    return MAX_INPUTS


def build_embedding_request(endpoint: Endpoint, model: str, fields: Mapping[str, Any]) -> UpstreamRequest:
    """Return the HTTP request for `fields`. The API's own parameters, such as `taskType`, apply to each text.

    Raises:
        InvalidRequestError: the request has tokens instead of texts.
    """
    path = path_of(model)
    common = {**vendor_fields(fields, EmbeddingRequest), "model": path}
    if "dimensions" in fields:
        common["outputDimensionality"] = fields["dimensions"]
    body = {"requests": [{**common, "content": {"parts": [{"text": text}]}} for text in texts_of(fields)]}
    return UpstreamRequest(f"{endpoint.url}/{path}:batchEmbedContents", endpoint.headers, to_json(body), timeouts=endpoint.whole_timeouts)


def parse_embeddings(body: bytes, headers: Headers) -> Completion:
    """Return the vectors in the body of an answer.

    Raises:
        UpstreamError: the body is not an answer of this API.
    """
    try:
        data = from_json(body, allow_inf_nan=False)
        return list_of([item["values"] for item in data["embeddings"]], (data.get("usageMetadata") or {}).get("promptTokenCount"))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise unusable_embeddings_error() from None
