"""Chunks in the shape of `chat.completion.chunk`, made of whole answers and of the parts of one."""

import secrets
from collections.abc import Mapping
from typing import Any

from completions_mw.sse import Event

Chunk = dict[str, Any]
"""A chunk of a streamed answer."""

_ENVELOPE_FIELDS = ("id", "created", "model", "service_tier", "system_fingerprint")


def chunk(delta: dict[str, Any], *, index: int = 0, finish_reason: str | None = None) -> Chunk:
    """Return a chunk with one choice."""
    return {"choices": [{"index": index, "delta": delta, "finish_reason": finish_reason}]}


def empty_chunk(other: Chunk) -> Event:
    """Return a chunk that adds nothing to the answer that `other` belongs to."""
    return Event({**other, **chunk({})})


def usage_chunk(usage: Mapping[str, Any]) -> Chunk:
    """Return the chunk that carries nothing but usage."""
    return {"choices": [], "usage": dict(usage)}


def split(completion: Mapping[str, Any]) -> list[Chunk]:
    """Return the chunks of a completion that has all members."""
    envelope = {name: completion[name] for name in _ENVELOPE_FIELDS if name in completion}
    chunks = [{**envelope, **part} for choice in completion["choices"] for part in _choice_chunks(choice)]
    return [*chunks, usage_chunk(completion["usage"])] if completion.get("usage") else chunks


def opened_call(call: Mapping[str, Any], arguments: str) -> dict[str, Any]:
    """Return a tool call, or the first fragment of one, with the id, type and arguments that clients need.

    Args:
        call: as the model gave it.
        arguments: the arguments of a call for which the model gives none.

    Raises:
        TypeError: the call has no name.
    """
    kind = "custom" if call.get("custom") else "function"
    opened = {"id": call.get("id") or f"call_{secrets.token_hex(12)}", "type": call.get("type") or kind}
    content = opened_function(call.get(kind) or {}, **({"arguments": arguments} if kind == "function" else {"input": ""}))
    return {**call, **opened, kind: content}


def opened_function(function: Mapping[str, Any], **defaults: str) -> dict[str, Any]:
    """Return the called function or tool, or the first fragment of it, with `defaults` for members that the model leaves out.

    Raises:
        TypeError: the function has no name.
    """
    if not function.get("name"):
        raise TypeError("a model yielded a call of a tool that does not begin with the `name` of what it calls")
    return defaults | _said(function)


def finish_reason(message: Mapping[str, Any]) -> str:
    """Return the finish reason of a message for which the model gives none."""
    return "tool_calls" if message.get("tool_calls") else "function_call" if message.get("function_call") else "stop"


def _said(part: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if value is not None}


def _choice_chunks(choice: Mapping[str, Any]) -> list[Chunk]:
    index, message = choice["index"], choice["message"]
    delta = {name: value for name, value in _said(message).items() if name != "tool_calls"}
    if message.get("tool_calls"):
        delta["tool_calls"] = [{"index": position, **call} for position, call in enumerate(message["tool_calls"])]
    content = chunk(delta, index=index)
    if choice.get("logprobs"):
        content["choices"][0]["logprobs"] = choice["logprobs"]
    return [content, chunk({}, index=index, finish_reason=choice["finish_reason"])]
