"""Requests to the Gemini API. Source: https://ai.google.dev/api/generate-content."""

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from pydantic_core import to_json

from completions_mw.http import UpstreamRequest
from completions_mw.providers.content import Turn, media_of, merged, parts_of, paths_of, split_system, text_of
from completions_mw.providers.endpoint import Endpoint, endpoint_of
from completions_mw.providers.fields import OPENAI_ONLY, maximum_of, stop_of, vendor_fields, without_nothing
from completions_mw.providers.gemini.thinking import call_signature, signature_of, thinking_config
from completions_mw.providers.tools import called_names, calls_of, tools_of
from completions_mw.providers.untranslatable import untranslatable
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
    """Return the path of a model. Tuned models and the like have one of their own, as `tunedModels/name`."""
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
    names = called_names(fields["messages"])
    contents = merged(turn for position, message in messages for turn in _turns(message, position, names, model))
    body = {
        **vendor_fields(fields),
        "contents": [{"role": role, "parts": parts} for role, parts in contents],
        "generationConfig": _generation_config(fields, model, max_tokens),
        **_tools(fields),
    }
    if instructions:
        body["systemInstruction"] = {"parts": [{"text": text} for text in instructions]}
    if (tier := _TIERS.get(fields.get("service_tier", ""))) is not None:
        body["serviceTier"] = tier
    path = path_of(model)
    if fields.get("stream"):
        url, timeouts = f"{endpoint.url}/{path}:streamGenerateContent?alt=sse", endpoint.timeouts
    else:
        url, timeouts = f"{endpoint.url}/{path}:generateContent", endpoint.whole_timeouts
    return UpstreamRequest(url, endpoint.headers, to_json(body), timeouts=timeouts)


def _turns(message: Mapping[str, Any], position: int, names: Mapping[str, str], model: str) -> Iterator[Turn]:
    """Yield what a message says in Gemini's roles, `user` and `model`."""
    match message["role"]:
        case "user":
            yield "user", [_part(part, path) for path, part in paths_of(parts_of(message), position)]
        case "assistant":
            yield "model", _said(message, position, model)
        case "tool":
            id = message["tool_call_id"]
            response = {"id": id, "name": names[id], "response": {"output": text_of(message)}}
            yield "user", [{"functionResponse": response}]
        case _:
            raise untranslatable(f"messages[{position}].role", "has no results of functions, only of tools")


def _said(message: Mapping[str, Any], position: int, model: str) -> list[dict[str, Any]]:
    """Return the parts of an earlier answer."""
    if message.get("audio"):
        raise untranslatable(f"messages[{position}].audio", "has no audio answers", is_value=False)
    if message.get("function_call"):
        raise untranslatable(f"messages[{position}].function_call", "has no functions, only tools", is_value=False)
    parts: list[dict[str, Any]] = []
    if text := text_of(message) or message.get("refusal") or "":
        signature = signature_of(message)
        parts.append({"text": text, **({"thoughtSignature": signature} if signature else {})})
    for at, (call, arguments) in enumerate(calls_of(message, position)):
        called = {"id": call["id"], "name": call["function"]["name"], "args": arguments}
        parts.append({"functionCall": called, **call_signature(model, call, is_first=at == 0)})
    return parts


def _part(part: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return a part of the user's content."""
    if part["type"] == "text":
        return {"text": part["text"]}
    media = media_of(part, path)
    if media.url:
        # The API itself fetches it: https://ai.google.dev/gemini-api/docs/file-input-methods.
        return {"fileData": without_nothing({"fileUri": media.url, "mimeType": media.media_type or None})}
    if not media.media_type:
        raise untranslatable(media.param, "needs the media type of a file: a data URI, or a known extension in 'filename'")
    return {"inlineData": {"mimeType": media.media_type, "data": media.data}}


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
    return {**without_nothing(config), **_response_format(fields.get("response_format") or {"type": "text"})}


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
        without_nothing(
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
    config = {} if "tool_choice" not in fields else {"toolConfig": {"functionCallingConfig": calling}}
    return {"tools": [{"functionDeclarations": declarations}], **config}
