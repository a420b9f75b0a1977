"""Messages as the contents of the Gemini API. Source: https://ai.google.dev/api/caching#Content."""

from collections.abc import Iterable, Mapping
from typing import Any

from completions_mw.providers.content import Turn, media_of, merged, parts_of, text_of
from completions_mw.providers.fields import without_none
from completions_mw.providers.gemini.thinking import call_signature, signature_of
from completions_mw.providers.tools import called_names, calls_of
from completions_mw.providers.untranslatable import untranslatable


def contents_of(messages: Iterable[tuple[int, dict[str, Any]]], model: str) -> list[dict[str, Any]]:
    """Return messages in Gemini's roles, `user` and `model`, which alternate.

    Args:
        messages: messages other than instructions, with their positions in the request.
        model: name of the model; some models need signatures of thoughts.

    Raises:
        InvalidRequestError: a message has parts that the API cannot express.
    """
    messages = list(messages)
    names = called_names(message for _, message in messages)
    turns = merged(_turn(message, position, names, model) for position, message in messages)
    return [{"role": role, "parts": parts} for role, parts in turns]


def _turn(message: Mapping[str, Any], position: int, names: Mapping[str, str], model: str) -> Turn:
    match message["role"]:
        case "user":
            return "user", [_part(part, path) for path, part in parts_of(message, position)]
        case "assistant":
            return "model", _assistant_parts(message, position, model)
        case "tool":
            id = message["tool_call_id"]
            response = {"id": id, "name": names[id], "response": {"output": text_of(message, position)}}
            return "user", [{"functionResponse": response}]
        case _:
            raise untranslatable(f"messages[{position}].role", "has no results of functions, only of tools")


def _assistant_parts(message: Mapping[str, Any], position: int, model: str) -> list[dict[str, Any]]:
    """Return the parts of an earlier answer."""
    if message.get("audio"):
        raise untranslatable(f"messages[{position}].audio", "has no audio answers", is_value=False)
    if message.get("function_call"):
        raise untranslatable(f"messages[{position}].function_call", "has no functions, only tools", is_value=False)
    parts: list[dict[str, Any]] = []
    if text := text_of(message, position) or message.get("refusal") or "":
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
        return {"fileData": without_none({"fileUri": media.url, "mimeType": media.media_type or None})}
    if not media.media_type:
        raise untranslatable(media.param, "needs the media type of a file: a data URI, or a known extension in 'filename'")
    return {"inlineData": {"mimeType": media.media_type, "data": media.data}}
