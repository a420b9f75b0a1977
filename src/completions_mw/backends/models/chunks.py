"""Turns the items that a user's model may yield into chunks in the shape of `chat.completion.chunk`."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeGuard

from completions_mw.backends.models.checks import check_chunk, check_completion, check_delta
from completions_mw.core.streaming.pieces import Chunk, chunk, finish_reason, opened_call, opened_function, split, usage_chunk
from completions_mw.schemas import ChatRequest

_FIELDS_BESIDE_DELTA = ("finish_reason", "usage")


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
    """Return whether an item is, or should be, a whole `chat.completion`."""
    choices = item.get("choices") if isinstance(item, Mapping) else None
    return isinstance(choices, list) and any(isinstance(choice, Mapping) and "message" in choice for choice in choices)


def chunks_of(item: object) -> list[Chunk]:
    """Return the chunks that an item stands for, after `plain`.

    Raises:
        TypeError: the item is not a part of an answer.
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
