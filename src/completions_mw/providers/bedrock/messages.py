"""Messages as Bedrock's content blocks.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any, Final

from completions_mw.providers.content import Media, Turn, media_of, merged, parts_of, text_of, thoughts_of
from completions_mw.providers.tools import calls_of
from completions_mw.providers.untranslatable import untranslatable

_IMAGES: Final = {"image/gif": "gif", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/png": "png", "image/webp": "webp"}
_DOCUMENTS: Final = {
    "application/msword": "doc",
    "application/pdf": "pdf",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "text/csv": "csv",
    "text/html": "html",
    "text/markdown": "md",
    "text/plain": "txt",
}
_MAX_NAME_CHARS: Final = 200


def instructions_of(parts: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the blocks of instructions, whose parts are all text."""
    return [block for part in parts for block in _marked(part, {"text": part["text"]})]


def messages_of(messages: Iterable[tuple[int, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return messages in Bedrock's roles, `user` and `assistant`, which alternate.

    Args:
        messages: messages other than instructions, with their positions in the request.

    Raises:
        InvalidRequestError: a message has parts that the API cannot express.
    """
    documents = count(1)
    turns = merged(_turn(message, position, documents) for position, message in messages)
    return [{"role": role, "content": blocks} for role, blocks in turns]


def _turn(message: Mapping[str, Any], position: int, documents: "count[int]") -> Turn:
    match message["role"]:
        case "user":
            parts = parts_of(message, position)
            return "user", [block for path, part in parts for block in _marked(part, _block(part, path, documents))]
        case "assistant":
            return "assistant", _assistant_blocks(message, position)
        case "tool":
            text = text_of(message, position)
            result = {"toolUseId": message["tool_call_id"], "content": [{"text": text}] if text else []}
            return "user", [{"toolResult": result}]
        case _:
            raise untranslatable(f"messages[{position}].role", "has no results of functions, only of tools")


def _assistant_blocks(message: Mapping[str, Any], position: int) -> list[dict[str, Any]]:
    """Return the blocks of an earlier answer. Its reasoning comes first, and only as the API gave it: it has to be signed."""
    if message.get("audio"):
        raise untranslatable(f"messages[{position}].audio", "has no audio answers", is_value=False)
    if message.get("function_call"):
        raise untranslatable(f"messages[{position}].function_call", "has no functions, only tools", is_value=False)
    blocks: list[dict[str, Any]] = [{"reasoningContent": _reasoning(block)} for block in thoughts_of(message)]
    if text := text_of(message, position) or message.get("refusal") or "":
        blocks.append({"text": text})
    for call, arguments in calls_of(message, position):
        blocks.append({"toolUse": {"toolUseId": call["id"], "name": call["function"]["name"], "input": arguments}})
    return blocks


def _marked(part: Mapping[str, Any], block: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the block of a part, and a cache point if the prompt up to there is to be cached."""
    return [block, {"cachePoint": {"type": "default"}}] if part.get("prompt_cache_breakpoint") else [block]


def _reasoning(thought: Mapping[str, str]) -> dict[str, Any]:
    """Return a thought as the API gave it."""
    if thought["type"] == "redacted_thinking":
        return {"redactedContent": thought["data"]}
    return {"reasoningText": {"text": thought["thinking"], "signature": thought["signature"]}}


def _block(part: Mapping[str, Any], path: str, documents: "count[int]") -> dict[str, Any]:
    """Return the block of a part of the user's content."""
    if part["type"] == "text":
        return {"text": part["text"]}
    media = media_of(part, path)
    if media.url:
        raise untranslatable(media.param, "fetches no images: send a data URI, as 'data:image/png;base64,…'")
    source = {"bytes": media.data}
    match media.kind:
        case "input_audio":
            return {"audio": {"format": media.media_type.removeprefix("audio/"), "source": source}}
        case "image_url":
            return {"image": {"format": _format(media, _IMAGES), "source": source}}
        case _:
            name = _document_name(media.filename, next(documents))
            return {"document": {"format": _format(media, _DOCUMENTS), "name": name, "source": source}}


def _format(media: Media, formats: Mapping[str, str]) -> str:
    found = formats.get(media.media_type)
    if found is None:
        raise untranslatable(media.param, f"takes {', '.join(sorted(set(formats.values())))}, and not '{media.media_type[:40]}'")
    return found


def _document_name(filename: str, number: int) -> str:
    """Return a name that the API accepts, and that no other document of the request has."""
    stem = re.sub(r"[^A-Za-z0-9\s()\[\]-]|\s+", " ", filename.rpartition(".")[0])
    name = re.sub(" +", " ", stem).strip()[: _MAX_NAME_CHARS - 8]
    return f"{name or 'document'} {number}" if number > 1 or not name else name
