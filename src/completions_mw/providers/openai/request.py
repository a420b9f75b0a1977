"""Requests for OpenAI's chat completions API."""

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from completions_mw.http import UpstreamRequest
from completions_mw.providers.endpoint import Endpoint, bearer, endpoint_of
from completions_mw.providers.history import without_additions
from completions_mw.settings import OpenAISettings
from completions_mw.settings.capabilities import Capabilities
from completions_mw.settings.compatible import capabilities_at


def build_endpoint(settings: OpenAISettings) -> Endpoint:
    """Return the endpoint of a provider in the settings."""
    accounts = {"openai-organization": settings.organization or "", "openai-project": settings.project or ""}
    headers = {"authorization": bearer(settings), **accounts}
    return endpoint_of(settings, settings.base_url.rstrip("/") + "/chat/completions", headers, accounts.values())


def capabilities_of(settings: OpenAISettings) -> Capabilities:
    """Return what a provider in the settings supports."""
    capabilities = capabilities_at(settings.base_url)
    return capabilities if settings.stream_options else capabilities.without("stream_options")


def build_request(
    endpoint: Endpoint,
    capabilities: Capabilities,
    model: str,
    fields: Mapping[str, Any],
    max_tokens: int | None = None,
) -> UpstreamRequest:
    """Return the HTTP request for `fields`. A stream asks for its usage too, unless the upstream does not support `stream_options`."""
    body = {**fields, "model": model}
    _rename_maximum(body, capabilities.max_tokens, max_tokens)
    for name, theirs in capabilities.renamed.items():
        if name in body:
            body[theirs] = body.pop(name)
    if not capabilities.developer_role:
        body["messages"] = [{**message, "role": "system"} if message["role"] == "developer" else message for message in body["messages"]]
    if not capabilities.takes_additions:
        body["messages"] = without_additions(body["messages"])
    # These say the same as leaving them out, and some services refuse them.
    if body.get("top_k", 1) < capabilities.min_top_k:
        del body["top_k"]
    if body.get("stop") == []:
        del body["stop"]
    timeouts = endpoint.whole_timeouts
    if body.get("stream"):
        timeouts = endpoint.timeouts
        options = body.pop("stream_options", {})
        if "stream_options" not in capabilities.unsupported:
            body["stream_options"] = {**options, "include_usage": True}
    return UpstreamRequest(endpoint.url, endpoint.headers, to_json(body), timeouts=timeouts)


def _rename_maximum(body: dict[str, Any], name: str, cap: int | None) -> None:
    """Put the maximum of completion tokens under the one name that the upstream knows: `cap`, else the larger one of the request."""
    found = [body.pop(one) for one in ("max_tokens", "max_completion_tokens") if one in body]
    if cap is not None or found:
        body[name] = cap if cap is not None else max(found)
