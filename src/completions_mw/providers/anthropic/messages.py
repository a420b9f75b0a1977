"""The messages of a request, as Anthropic's Messages API takes them: instructions in `system`, and turns of user and assistant.

Sources: https://platform.claude.com/docs/en/api/messages, and for the place of instructions that come later in a conversation
https://platform.claude.com/docs/en/api/openai-sdk: Anthropic moves them to the beginning too.
"""

from binascii import a2b_base64
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from completions_mw.providers.content import Media, Turn, media_of, merged, parts_of, split_system, thoughts_of
from completions_mw.providers.tools import calls_of
from completions_mw.providers.untranslatable import untranslatable

Block = dict[str, Any]
"""A block of content."""

_IMAGE_TYPES: Final = {"image/jpg": "image/jpeg", **{kind: kind for kind in ("image/gif", "image/jpeg", "image/png", "image/webp")}}
"""Media types of images that the API takes, by the names under which clients send them."""


class Conversation(NamedTuple):
    """The messages of a request."""

    system: list[Block]
    """All instructions, in their order."""
    turns: list[dict[str, Any]]
    """The turns of user and assistant, which alternate."""


def read_messages(messages: Iterable[dict[str, Any]]) -> Conversation:
    """Return the messages of a request as Anthropic's API takes them.

    Raises:
        InvalidRequestError: a message has content that the API does not take.
    """
    instructions, others = split_system(messages)
    system = list(_content({"content": instructions}, 0))
    turns = merged(_turn(message, position) for position, message in others)
    return Conversation(system, [{"role": role, "content": blocks} for role, blocks in turns])


def _turn(message: dict[str, Any], position: int) -> Turn:
    match message["role"]:
        case "user":
            return "user", list(_content(message, position))
        case "assistant":
            return "assistant", list(_answer(message, position))
        case "tool":
            content = list(_content(message, position))
            result = {"type": "tool_result", "tool_use_id": message["tool_call_id"]}
            return "user", [{**result, "content": content} if content else result]
        case _:
            raise untranslatable(f"messages[{position}].role", "has no results of functions, only of tools")


def _content(message: Mapping[str, Any], position: int) -> Iterator[Block]:
    """Yield the blocks of a message's content."""
    for path, part in parts_of(message, position):
        block = _block(part, path)
        yield {**block, "cache_control": {"type": "ephemeral"}} if part.get("prompt_cache_breakpoint") else block


def _block(part: Mapping[str, Any], path: str) -> Block:
    match part["type"]:
        case "text" | "refusal" as kind:
            return {"type": "text", "text": part[kind]}
        case "file" if part["file"].get("file_id"):
            # The client has uploaded the file to Anthropic.
            return {"type": "document", "source": {"type": "file", "file_id": part["file"]["file_id"]}}
    media = media_of(part, path)
    if media.kind == "image_url" and media.url:
        return {"type": "image", "source": {"type": "url", "url": media.url}}
    if kind := _IMAGE_TYPES.get(media.media_type):
        return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": media.data}}
    return _document(media)


def _document(media: Media) -> Block:
    title = {"title": media.filename} if media.filename else {}
    match media.kind, media.media_type:
        case "file", "application/pdf" as kind:
            return {"type": "document", "source": {"type": "base64", "media_type": kind, "data": media.data}, **title}
        case "file", "text/plain" as kind:
            return {"type": "document", "source": {"type": "text", "media_type": kind, "data": _text(media)}, **title}
        case "file", kind:
            raise untranslatable(media.param, f"takes files that are PDF, plain text or images, and not '{kind[:40]}'")
        case "image_url", kind:
            raise untranslatable(media.param, f"takes images in JPEG, PNG, GIF and WebP, and not '{kind[:40]}'")
    raise untranslatable(media.param, "takes no audio", is_value=False)


def _text(media: Media) -> str:
    try:
        return a2b_base64(media.data).decode()
    except ValueError:
        raise untranslatable(media.param, "takes plain text only in UTF-8") from None


def _answer(message: Mapping[str, Any], position: int) -> Iterator[Block]:
    """Yield the blocks of an earlier answer: its thoughts, as far as it has their signatures, its text and its tool calls."""
    for name in ("audio", "function_call"):
        if message.get(name):
            raise untranslatable(f"messages[{position}].{name}", "has no such answers", is_value=False)
    yield from thoughts_of(message)
    yield from _content(message, position)
    if message.get("refusal"):
        yield {"type": "text", "text": message["refusal"]}
    for call, arguments in calls_of(message, position):
        yield {"type": "tool_use", "id": call["id"], "name": call["function"]["name"], "input": arguments}
