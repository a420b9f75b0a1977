"""The wire format of Azure OpenAI: OpenAI's, with deployments for models, versions of the API, and a content filter.

request.py     requests to a deployment
embeddings.py  embeddings
errors.py      errors of the content filter

Sources, below https://learn.microsoft.com/azure/ai-foundry/openai/: api-version-lifecycle (paths, versions, authentication),
concepts/content-streaming (events of the filter, charges), concepts/content-filter (errors of the filter).
"""

from completions_mw.providers.azure.errors import parse_error
from completions_mw.providers.azure.request import build_endpoint, build_request, capabilities_of
from completions_mw.providers.openai import open_stream, parse_completion, stream_content_type

__all__ = [
    "build_endpoint",
    "build_request",
    "capabilities_of",
    "open_stream",
    "parse_completion",
    "parse_error",
    "stream_content_type",
]
