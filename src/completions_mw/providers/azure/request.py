"""Requests for Azure OpenAI: OpenAI's, to a deployment and in a version of the API."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from completions_mw.http import UpstreamRequest
from completions_mw.providers import openai
from completions_mw.providers.endpoint import Endpoint, endpoint_of
from completions_mw.settings.capabilities import Capabilities
from completions_mw.settings.providers.azure import AzureSettings

CAPABILITIES: Final = Capabilities(unsupported=frozenset({"top_k"}), max_tokens="max_completion_tokens", developer_role=True)
_FIRST_WITH_USAGE: Final = "2024-09-01"
"""First dated version with `max_completion_tokens`, `stream_options` and `parallel_tool_calls`."""
_BEFORE_USAGE: Final = Capabilities(unsupported=frozenset({"top_k", "stream_options", "parallel_tool_calls"}))
_DEPLOYMENT: Final = "{deployment}"


def build_endpoint(settings: AzureSettings) -> Endpoint:
    """Return the endpoint of a provider in the settings; with a dated version its URL has a place for the deployment."""
    root = settings.base_url.removesuffix("/v1").removesuffix("/openai")
    match settings.api_version:
        case "v1":
            path = "/openai/v1/chat/completions"
        case "preview":
            path = "/openai/v1/chat/completions?api-version=preview"
        case date:
            path = f"/openai/deployments/{_DEPLOYMENT}/chat/completions?api-version={date}"
    key = settings.api_key.get_secret_value() if settings.api_key else ""
    return endpoint_of(settings, root + path, {"api-key": key})


def capabilities_of(settings: AzureSettings) -> Capabilities:
    """Return what the version of the API supports."""
    is_old = settings.api_version[:1].isdigit() and settings.api_version < _FIRST_WITH_USAGE
    return _BEFORE_USAGE if is_old else CAPABILITIES


def build_request(
    endpoint: Endpoint,
    capabilities: Capabilities,
    model: str,
    fields: Mapping[str, Any],
    max_tokens: int | None = None,
) -> UpstreamRequest:
    """Return the HTTP request for `fields` to the deployment `model`."""
    return at_deployment(openai.build_request(endpoint, capabilities, model, fields, max_tokens), model)


def at_deployment(request: UpstreamRequest, model: str) -> UpstreamRequest:
    """Put the deployment `model` into the URL of `request`, if its version of the API wants it there, and return the request."""
    request.url = request.url.replace(_DEPLOYMENT, quote(model, safe=""))
    return request
