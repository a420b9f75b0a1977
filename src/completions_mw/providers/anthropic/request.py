"""A request to Anthropic's Messages API, https://platform.claude.com/docs/en/api/messages."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from pydantic_core import to_json

from completions_mw.http import UpstreamRequest
from completions_mw.providers.anthropic.messages import read_messages
from completions_mw.providers.anthropic.schemas import answer_schema
from completions_mw.providers.anthropic.thinking import thinking_members
from completions_mw.providers.anthropic.tools import tool_members
from completions_mw.providers.endpoint import Endpoint, bearer, endpoint_of
from completions_mw.providers.fields import OPENAI_ONLY, maximum_of, stop_of, vendor_fields
from completions_mw.settings.capabilities import Capabilities
from completions_mw.settings.providers.anthropic import AnthropicSettings

_WITHOUT_SAMPLING: Final = "2026-10-21"
"""First version of the API that refuses parameters of sampling (https://platform.claude.com/docs/en/api/migration-2026-10-21)."""
_SAMPLING: Final = frozenset({"temperature", "top_p", "top_k"})
_CAPABILITIES: Final = Capabilities(
    unsupported=OPENAI_ONLY | _SAMPLING | {"frequency_penalty", "logprobs", "presence_penalty", "seed", "top_logprobs"},
    refused={
        "modalities": frozenset({"audio"}),
        # Without a schema there is no format that the API could keep to.
        "response_format": frozenset({"json_object"}),
        "service_tier": frozenset({"fast", "flex", "priority", "scale"}),
        "tool_choice": frozenset({"custom"}),
    },
    max_choices=1,
    needs_maximum=True,
)
_SAMPLING_CAPABILITIES: Final = replace(_CAPABILITIES, unsupported=_CAPABILITIES.unsupported - _SAMPLING, ranges={"temperature": (0, 1)})
_TIERS: Final = {"auto": "auto", "default": "standard_only"}


def build_endpoint(settings: AnthropicSettings) -> Endpoint:
    """Return the endpoint of a provider in the settings."""
    key = settings.api_key.get_secret_value() if settings.api_key else ""
    authorization = {"authorization": bearer(settings)} if settings.auth == "bearer" else {"x-api-key": key}
    headers = {"anthropic-version": settings.version, **authorization}
    return endpoint_of(settings, settings.base_url.rstrip("/") + "/messages", headers)


def capabilities_of(settings: AnthropicSettings) -> Capabilities:
    """Return what a provider in the settings supports."""
    return _CAPABILITIES if settings.version >= _WITHOUT_SAMPLING else _SAMPLING_CAPABILITIES


def build_request(
    endpoint: Endpoint,
    capabilities: Capabilities,
    model: str,
    fields: Mapping[str, Any],
    max_tokens: int | None = None,
) -> UpstreamRequest:
    """Return the HTTP request for `fields`.

    Raises:
        InvalidRequestError: the request has parts that the API cannot express.
    """
    system, turns = read_messages(fields["messages"])
    body: dict[str, Any] = {"model": model, "max_tokens": maximum_of(fields, max_tokens), "messages": turns}
    if system:
        body["system"] = system
    body |= tool_members(fields)
    if effort := fields.get("reasoning_effort"):
        body |= thinking_members(model, effort, body["max_tokens"])
    if (schema := answer_schema(fields)) is not None:
        body["output_config"] = {**body.get("output_config", {}), "format": {"type": "json_schema", "schema": schema}}
    if stop := stop_of(fields):
        body["stop_sequences"] = stop
    body |= {name: fields[name] for name in _SAMPLING if name in fields and name not in capabilities.unsupported}
    if body.get("top_k", 1) < capabilities.min_top_k:
        del body["top_k"]
    if user := fields.get("safety_identifier") or fields.get("user"):
        body["metadata"] = {"user_id": user}
    if tier := _TIERS.get(fields.get("service_tier", "")):
        body["service_tier"] = tier
    if fields.get("prompt_cache_options", {}).get("mode") == "implicit":
        body["cache_control"] = {"type": "ephemeral"}
    body |= vendor_fields(fields)
    timeouts = endpoint.whole_timeouts
    if fields.get("stream"):
        timeouts, body["stream"] = endpoint.timeouts, True
    return UpstreamRequest(endpoint.url, endpoint.headers, to_json(body), timeouts=timeouts)
