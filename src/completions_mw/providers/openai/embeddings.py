"""OpenAI's embeddings API, which most compatible servers speak too.

Requests are sent as they were validated, and answers are relayed as they were received. Source: OpenAI's API reference,
https://platform.openai.com/docs/api-reference/embeddings.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic_core import from_json, to_json

from completions_mw.http import Headers, UpstreamRequest
from completions_mw.providers.base import Completion
from completions_mw.providers.client_errors import reported_error
from completions_mw.providers.embeddings import unusable_embeddings_error
from completions_mw.providers.endpoint import Endpoint
from completions_mw.providers.error_reports import is_report

__all__ = ["build_embedding_request", "max_inputs", "parse_embeddings"]

MAX_INPUTS: Final = 2048
_CHAT_PATH, _PATH = "/chat/completions", "/embeddings"


def max_inputs(model: str) -> int:
    """Return the inputs that one request may have."""
    return MAX_INPUTS


def build_embedding_request(endpoint: Endpoint, model: str, fields: Mapping[str, Any]) -> UpstreamRequest:
    """Return the HTTP request for `fields`. Its URL is that of chat completions with another path, or below the base URL of another API."""
    url = endpoint.url.replace(_CHAT_PATH, _PATH) if _CHAT_PATH in endpoint.url else endpoint.url + _PATH
    return UpstreamRequest(url, endpoint.headers, to_json({**fields, "model": model}), timeouts=endpoint.whole_timeouts)


def parse_embeddings(body: bytes, headers: Headers) -> Completion:
    """Return the `list` object of embeddings in the body of an answer.

    Raises:
        UpstreamError: the body reports an error, or is not a list of embeddings.
    """
    try:
        data = from_json(body, allow_inf_nan=False)
    except ValueError:
        raise unusable_embeddings_error() from None
    if not isinstance(data, dict):
        raise unusable_embeddings_error()
    found = data.get("data")
    if isinstance(found, list) and found and all(map(_is_embedding, found)) and not data.get("error"):
        return Completion(data, body)
    if data.get("error") or is_report(data):
        raise reported_error(data)
    raise unusable_embeddings_error()


def _is_embedding(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("embedding"), list | str)
