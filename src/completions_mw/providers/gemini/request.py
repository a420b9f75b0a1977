"""Requests to the Gemini API. Source: https://ai.google.dev/api/generate-content."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from pydantic_core import to_json

from completions_mw.http import UpstreamRequest
from completions_mw.providers.content import split_system
from completions_mw.providers.endpoint import Endpoint, endpoint_of
from completions_mw.providers.fields import OPENAI_ONLY, maximum_of, stop_of, vendor_fields, without_none
from completions_mw.providers.gemini.messages import contents_of
from completions_mw.providers.gemini.thinking import thinking_config
from completions_mw.providers.tools import tools_of
from completions_mw.settings.capabilities import Capabilities
from completions_mw.settings.providers import GeminiSettings

_CAPABILITIES: Final = Capabilities(
    unsupported=OPENAI_ONLY | {"parallel_tool_calls", "prompt_cache_options", "safety_identifier", "user"},
    # `seed` is an int32.
    ranges={"seed": (-(2**31), 2**31 - 1)},
    refused={"modalities": frozenset({"audio"}), "service_tier": frozenset({"scale"}), "tool_choice": frozenset({"custom"})},
    max_choices=8,
)
_TIERS: Final = {"default": "standard", "fast": "priority", "flex": "flex", "priority": "priority"}
_MODES: Final = {"auto": "AUTO", "none": "NONE", "required": "ANY", "named": "ANY"}


def build_endpoint(settings: GeminiSettings) -> Endpoint:
    """Return the endpoint of a provider in the settings. Its URL is where the names of models begin."""
    key = settings.api_key.get_secret_value() if settings.api_key else ""
    return endpoint_of(settings, settings.base_url.rstrip("/"), {"x-goog-api-key": key})


def capabilities_of(settings: GeminiSettings) -> Capabilities:
    """Return what the API supports of OpenAI's."""
    return _CAPABILITIES


def path_of(model: str) -> str:
    """Return the path of a model. A name with a slash, such as `tunedModels/name`, is a path already."""
    return quote(model if "/" in model else f"models/{model}", safe="/")


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
    body = {
        **vendor_fields(fields),
        "contents": contents_of(messages, model),
        "generationConfig": _generation_config(fields, model, max_tokens),
        **_tools(fields),
    }
    if instructions:
        body["systemInstruction"] = {"parts": [{"text": part["text"]} for part in instructions]}
    if (tier := _TIERS.get(str(fields.get("service_tier")))) is not None:
        body["serviceTier"] = tier
    path = path_of(model)
    if fields.get("stream"):
        url, timeouts = f"{endpoint.url}/{path}:streamGenerateContent?alt=sse", endpoint.timeouts
    else:
        url, timeouts = f"{endpoint.url}/{path}:generateContent", endpoint.whole_timeouts
    return UpstreamRequest(url, endpoint.headers, to_json(body), timeouts=timeouts)


def _generation_config(fields: Mapping[str, Any], model: str, max_tokens: int | None) -> dict[str, Any]:
    top_k = fields.get("top_k", 0)
    config = {
        "candidateCount": fields.get("n"),
        "frequencyPenalty": fields.get("frequency_penalty"),
        "logprobs": fields.get("top_logprobs"),
        "maxOutputTokens": maximum_of(fields, max_tokens),
        "presencePenalty": fields.get("presence_penalty"),
        "responseLogprobs": fields.get("logprobs"),
        "seed": fields.get("seed"),
        "stopSequences": stop_of(fields),
        "temperature": fields.get("temperature"),
        "thinkingConfig": thinking_config(model, fields.get("reasoning_effort")),
        # 0 and -1 stand for no limit.
        "topK": top_k if top_k > 0 else None,
        "topP": fields.get("top_p"),
    }
    return {**without_none(config), **_response_format(fields.get("response_format") or {"type": "text"})}


def _response_format(wanted: Mapping[str, Any]) -> dict[str, Any]:
    if wanted["type"] == "text":
        return {}
    schema = (wanted.get("json_schema") or {}).get("schema")
    return {"responseMimeType": "application/json", **({} if schema is None else {"responseJsonSchema": schema})}


def _tools(fields: Mapping[str, Any]) -> dict[str, Any]:
    tools = tools_of(fields)
    if not tools.functions:
        return {}
    declarations = [
        without_none(
            {
                "name": function["name"],
                "description": function.get("description"),
                "parametersJsonSchema": function.get("parameters"),
            }
        )
        for function in tools.functions
    ]
    calling: dict[str, Any] = {"mode": _MODES[tools.choice]}
    if tools.choice == "named":
        calling["allowedFunctionNames"] = [tools.name]
    elif tools.choice == "auto" and any(function.get("strict") for function in tools.functions):
        # Calls follow their schemas, as they do in the mode ANY.
        calling["mode"] = "VALIDATED"
    # The default of the API is left out.
    config = {} if calling["mode"] == "AUTO" else {"toolConfig": {"functionCallingConfig": calling}}
    return {"tools": [{"functionDeclarations": declarations}], **config}
