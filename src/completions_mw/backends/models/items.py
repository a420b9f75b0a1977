"""What a user's model may yield, brought into one form: chunks in the shape of `chat.completion.chunk`."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from completions_mw.schemas import ChatRequest

Chunk = dict[str, Any]

_MESSAGE_IN_DELTA = ("role", "content", "refusal", "function_call", "audio", "annotations")


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
    """Return an iterator over what a function gave back: the iterator that it is, or the one item that it is."""
    if isinstance(result, str | Mapping) or hasattr(result, "model_dump") or not isinstance(result, Iterable):
        return iter((result,))
    return iter(result)


def plain(item: object) -> object:
    """Return pydantic objects, ours or openai's, as the dict that they are on the wire."""
    dump = getattr(item, "model_dump", None)
    return item if dump is None else dump(mode="json", exclude_unset=True, by_alias=True)


def is_completion(item: object) -> bool:
    """Tell whether an item is a whole `chat.completion`."""
    return isinstance(item, Mapping) and any("message" in choice for choice in item.get("choices") or ())


def chunks_of(item: object) -> list[Chunk]:
    """Return the chunks that one (plain) item stands for.

    Raises:
        TypeError: it is neither text nor a dict.
    """
    if isinstance(item, str):
        return [chunk({"content": item})]
    if not isinstance(item, Mapping):
        raise TypeError(f"a model yields text, dicts or pydantic objects, not {type(item).__name__}")
    if is_completion(item):
        return _split(item)
    if "choices" in item:
        return [{**item, "choices": [dict(choice) for choice in item["choices"]]}]
    return [usage_chunk(item["usage"])] if "usage" in item else [chunk(dict(item))]


def _split(completion: Mapping[str, Any]) -> list[Chunk]:
    envelope = {name: completion[name] for name in ("id", "created", "model", "service_tier", "system_fingerprint") if name in completion}
    chunks = [{**envelope, **part} for choice in _choices(completion) for part in _choice_chunks(choice)]
    return [*chunks, usage_chunk(completion["usage"])] if completion.get("usage") else chunks


def completed(completion: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the choices of a model's own completion with all members that SPEC section 7 requires."""
    return [{"logprobs": None, **choice} for choice in _choices(completion)]


def finish_reason(message: Mapping[str, Any]) -> str:
    """Return why a message ended, where the model does not say."""
    return "tool_calls" if message.get("tool_calls") else "function_call" if message.get("function_call") else "stop"


def _choices(completion: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [_choice(position, choice) for position, choice in enumerate(completion["choices"])]


def _choice(position: int, choice: Mapping[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": None, "refusal": None, **choice["message"]}
    if message.get("tool_calls"):
        message["tool_calls"] = [{"type": "function", **call} for call in message["tool_calls"]]
    return {"index": position, **choice, "message": message, "finish_reason": choice.get("finish_reason") or finish_reason(message)}


def _choice_chunks(choice: Mapping[str, Any]) -> list[Chunk]:
    index, message = choice["index"], choice["message"]
    delta = {name: message[name] for name in _MESSAGE_IN_DELTA if message.get(name) is not None}
    if message.get("tool_calls"):
        delta["tool_calls"] = [{"index": position, **call} for position, call in enumerate(message["tool_calls"])]
    content = chunk(delta, index=index)
    if choice.get("logprobs"):
        content["choices"][0]["logprobs"] = choice["logprobs"]
    return [content, chunk({}, index=index, finish_reason=choice["finish_reason"])]
