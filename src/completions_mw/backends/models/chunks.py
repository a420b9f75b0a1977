"""Turns the items that a user's model may yield into chunks in the shape of `chat.completion.chunk`."""

import secrets
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeGuard

from completions_mw.backends.models.checks import check_chunk, check_completion, check_delta
from completions_mw.schemas import ChatRequest

Chunk = dict[str, Any]

_ENVELOPE_FIELDS = ("id", "created", "model", "service_tier", "system_fingerprint")
_FIELDS_BESIDE_DELTA = ("finish_reason", "usage")


def chunk(delta: dict[str, Any], *, index: int = 0, finish_reason: str | None = None) -> Chunk:
    """Return a chunk with one choice."""
    return {"choices": [{"index": index, "delta": delta, "finish_reason": finish_reason}]}


def usage_chunk(usage: Mapping[str, Any]) -> Chunk:
    """Return the chunk that carries nothing but usage."""
    return {"choices": [], "usage": dict(usage)}


def wire_form(request: ChatRequest) -> dict[str, Any]:
    """Return `request` as the client sent it."""
    return request.model_dump(exclude_unset=True, by_alias=True)


def opened(result: object) -> Iterator[Any]:
    """Return an iterator over the result of a model function, which is an iterator of items or one item."""
    if isinstance(result, str | bytes | Mapping) or hasattr(result, "model_dump") or not isinstance(result, Iterable):
        return iter((result,))
    return iter(result)


def plain(item: object) -> object:
    """Return a pydantic object, of this library or of openai, as the dict of its JSON; any other item as it is."""
    dump = getattr(item, "model_dump", None)
    return item if dump is None else dump(mode="json", exclude_unset=True, by_alias=True)


def is_completion(item: object) -> TypeGuard[Mapping[str, Any]]:
    """Tell whether an item is, or should be, a whole `chat.completion`."""
    choices = item.get("choices") if isinstance(item, Mapping) else None
    return isinstance(choices, list) and any(isinstance(choice, Mapping) and "message" in choice for choice in choices)


def chunks_of(item: object) -> list[Chunk]:
    """Return the chunks that an item stands for, after `plain`.

    Raises:
        TypeError: the item is no part of an answer.
    """
    if isinstance(item, str):
        return [chunk({"content": item})]
    if not isinstance(item, Mapping):
        raise TypeError(f"a model yields text, dicts or pydantic objects, not {type(item).__name__}")
    if is_completion(item):
        return split(completed(item))
    if "choices" not in item:
        return _loose(item)
    check_chunk(item)
    return [{**item, "choices": [{"index": position, **choice} for position, choice in enumerate(item["choices"])]}]


def completed(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model's own completion, its choices with all members of the API (docs/contract.md, Answers).

    Raises:
        TypeError: `item` is not a completion.
    """
    check_completion(item)
    return {**item, "choices": [_choice(position, choice) for position, choice in enumerate(item["choices"])]}


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


def _loose(item: Mapping[str, Any]) -> list[Chunk]:
    check_delta(item)
    delta = {name: value for name, value in item.items() if name not in _FIELDS_BESIDE_DELTA}
    reason, usage = item.get("finish_reason"), item.get("usage")
    chunks = [usage_chunk(usage)] if usage else []
    return [chunk(delta, finish_reason=reason), *chunks] if delta or reason or not chunks else chunks


def _choice(position: int, choice: Mapping[str, Any]) -> dict[str, Any]:
    message = {"content": None, "refusal": None, **choice["message"], "role": "assistant"}
    if message.get("tool_calls"):
        message["tool_calls"] = [opened_call(call, "{}") for call in message["tool_calls"]]
    if message.get("function_call"):
        message["function_call"] = opened_function(message["function_call"], arguments="{}")
    reason = choice.get("finish_reason") or finish_reason(message)
    return {"index": position, "logprobs": None, **choice, "message": message, "finish_reason": reason}


def _choice_chunks(choice: Mapping[str, Any]) -> list[Chunk]:
    index, message = choice["index"], choice["message"]
    delta = {name: value for name, value in _said(message).items() if name != "tool_calls"}
    if message.get("tool_calls"):
        delta["tool_calls"] = [{"index": position, **call} for position, call in enumerate(message["tool_calls"])]
    content = chunk(delta, index=index)
    if choice.get("logprobs"):
        content["choices"][0]["logprobs"] = choice["logprobs"]
    return [content, chunk({}, index=index, finish_reason=choice["finish_reason"])]
