"""Requests to Bedrock. Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from pydantic_core import to_json

from completions_mw.http import UpstreamRequest
from completions_mw.providers.bedrock.messages import instructions_of, messages_of
from completions_mw.providers.bedrock.models import VendorParams, vendor_members
from completions_mw.providers.content import split_system
from completions_mw.providers.endpoint import Endpoint, bearer, endpoint_of
from completions_mw.providers.fields import OPENAI_ONLY, maximum_of, stop_of, vendor_fields, without_none
from completions_mw.providers.tools import tools_of
from completions_mw.providers.untranslatable import untranslatable
from completions_mw.settings.capabilities import Capabilities
from completions_mw.settings.providers import BedrockSettings

_CAPABILITIES: Final = Capabilities(
    unsupported=OPENAI_ONLY
    | {
        "frequency_penalty",
        "logprobs",
        "parallel_tool_calls",
        "presence_penalty",
        "prompt_cache_options",
        "safety_identifier",
        "seed",
        "top_logprobs",
        "user",
    },
    ranges={"temperature": (0, 1)},
    refused={
        "modalities": frozenset({"audio"}),
        "response_format": frozenset({"json_object"}),
        "service_tier": frozenset({"scale"}),
        "tool_choice": frozenset({"custom"}),
    },
    max_choices=1,
)
_TIERS: Final = {"default": "default", "fast": "priority", "flex": "flex", "priority": "priority"}


def build_endpoint(settings: BedrockSettings) -> Endpoint:
    """Return the endpoint of a provider in the settings. Its URL is where the paths of models begin.

    Without an API key it has no credentials: requests are then signed.
    """
    return endpoint_of(settings, settings.base_url.rstrip("/"), {"authorization": bearer(settings)})


def capabilities_of(settings: BedrockSettings) -> Capabilities:
    """Return what the API supports of OpenAI's. `top_k` and `reasoning_effort` depend on the model."""
    return _CAPABILITIES


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
    instructions, messages = split_system(fields["messages"])
    maximum, top_k = maximum_of(fields, max_tokens), fields.get("top_k", 0)
    # 0 and -1 stand for no limit.
    body = vendor_members(model, VendorParams(fields.get("reasoning_effort"), top_k if top_k > 0 else None, maximum))
    if more := vendor_fields(fields):
        body["additionalModelRequestFields"] = more | body.get("additionalModelRequestFields", {})
    body["messages"] = messages_of(messages)
    if instructions:
        body["system"] = instructions_of(instructions)
    if config := _inference_config(fields, maximum):
        body["inferenceConfig"] = config
    if tools := _tool_config(fields):
        body["toolConfig"] = tools
    if text_format := _text_format(fields.get("response_format") or {"type": "text"}):
        body["outputConfig"] = {**body.get("outputConfig", {}), "textFormat": text_format}
    if (tier := _TIERS.get(str(fields.get("service_tier")))) is not None:
        body["serviceTier"] = {"type": tier}
    is_stream = fields.get("stream")
    # Ids have colons, and ARNs have slashes too.
    url = f"{endpoint.url}/model/{quote(model, safe='')}/{'converse-stream' if is_stream else 'converse'}"
    timeouts = endpoint.timeouts if is_stream else endpoint.whole_timeouts
    return UpstreamRequest(url, endpoint.headers, to_json(body), timeouts=timeouts)


def _inference_config(fields: Mapping[str, Any], maximum: int | None) -> dict[str, Any]:
    config = {
        "maxTokens": maximum,
        "stopSequences": stop_of(fields),
        "temperature": fields.get("temperature"),
        "topP": fields.get("top_p"),
    }
    return without_none(config)


def _tool_config(fields: Mapping[str, Any]) -> dict[str, Any]:
    tools = tools_of(fields)
    if tools.choice == "none":
        # The API has no such choice, and needs the tools of all calls in the messages.
        if any(message.get("tool_calls") for message in fields["messages"]):
            raise untranslatable("tool_choice", "cannot take 'none' after a message with 'tool_calls'")
        return {}
    if not tools.functions:
        return {}
    config: dict[str, Any] = {"tools": [{"toolSpec": _tool_spec(function)} for function in tools.functions]}
    if tools.choice == "named":
        config["toolChoice"] = {"tool": {"name": tools.name}}
    elif "tool_choice" in fields:
        config["toolChoice"] = {"any" if tools.choice == "required" else "auto": {}}
    return config


def _tool_spec(function: Mapping[str, Any]) -> dict[str, Any]:
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    spec = {
        "name": function["name"],
        "description": function.get("description") or None,
        "inputSchema": {"json": schema},
        # Models without structured output refuse the member itself.
        "strict": function.get("strict") or None,
    }
    return without_none(spec)


def _text_format(wanted: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the text format for a response format. Source: https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html."""
    if wanted["type"] == "text":
        return None
    given = wanted.get("json_schema") or {}
    if not given.get("schema"):
        raise untranslatable("response_format", "takes JSON only with a schema")
    schema = {"schema": to_json(given["schema"]).decode(), "name": given["name"], "description": given.get("description")}
    return {"type": "json_schema", "structure": {"jsonSchema": without_none(schema)}}
