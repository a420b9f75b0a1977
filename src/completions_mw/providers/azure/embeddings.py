"""Embeddings of Azure OpenAI: OpenAI's API, with deployments for models.

Source: https://learn.microsoft.com/azure/ai-foundry/openai/how-to/embeddings.
"""

from collections.abc import Mapping
from typing import Any

from completions_mw.http import UpstreamRequest
from completions_mw.providers.azure.request import at_deployment
from completions_mw.providers.endpoint import Endpoint
from completions_mw.providers.openai import embeddings as openai_embeddings
from completions_mw.providers.openai.embeddings import max_inputs, parse_embeddings

__all__ = ["build_embedding_request", "max_inputs", "parse_embeddings"]


def build_embedding_request(endpoint: Endpoint, model: str, fields: Mapping[str, Any]) -> UpstreamRequest:
    """Return the HTTP request for `fields` to the deployment `model`."""
    return at_deployment(openai_embeddings.build_embedding_request(endpoint, model, fields), model)
