"""Whole answers, completed and corrected (docs/contract.md, Answers)."""

import secrets
from collections.abc import Callable
from typing import Any, Final

from completions_mw.core.answers.finish_reasons import FINISH_REASONS, INTERRUPTED, native_reason, read_reason
from completions_mw.core.answers.message import has_text_only, message_in, with_text
from completions_mw.core.answers.tool_calls import ToolCalls

COMPLETION_OBJECT: Final = "chat.completion"
_READ_MEMBERS: Final = frozenset({"index", "message", "delta", "text", "logprobs", "finish_reason", "usage", "error"})


def complete_answer(data: dict[str, Any], *, new_id: Callable[[], str], created: int, model: str, is_forced: bool) -> dict[str, Any]:
    """Return a whole answer that has what OpenAI's schema requires; `data` itself if it is right. Usage is not looked at.

    Args:
        data: the target's answer, with at least one choice.
        new_id: makes the id of the answer, if the target gives none.
        created: time of the answer in seconds since the epoch, if the target gives none.
        model: name of the model, if the target gives none.
        is_forced: whether the client forced the call of one function, which OpenAI's API answers with the finish reason `stop`.
    """
    choices = data["choices"]
    found_id, found_created, found_model = data.get("id"), data.get("created"), data.get("model")
    has_names = found_id and found_model and type(found_id) is type(found_model) is str and data.get("object") == COMPLETION_OBJECT
    # The usual answer, in as few steps as possible.
    if has_names and type(found_created) is int and found_created > 0 and len(choices) == 1 and _is_plain(choices[0]):
        return data
    envelope = {
        "id": found_id if isinstance(found_id, str) and found_id else new_id(),
        "object": COMPLETION_OBJECT,
        "created": found_created if type(found_created) is int and found_created > 0 else created,
        "model": found_model if isinstance(found_model, str) and found_model else model,
    }
    completed = [_completed(choice, position, is_forced) for position, choice in enumerate(choices)]
    is_right = all(data.get(name) == value for name, value in envelope.items())
    if is_right and all(new is old for new, old in zip(completed, choices, strict=True)):
        return data
    # Twice: first for OpenAI's order of members, then to replace the target's values.
    return {**envelope, **data, **envelope, "choices": completed}


def _is_plain(choice: dict[str, Any]) -> bool:
    """Return whether a choice is right, and has no calls, which are looked at one by one."""
    message, reason = choice.get("message"), choice.get("finish_reason")
    if type(message) is not dict or message.get("role") != "assistant" or type(reason) is not str or reason not in FINISH_REASONS:
        return False
    has_calls = message.get("tool_calls") or message.get("function_call")
    index = choice.get("index")
    return not has_calls and type(index) is int and index >= 0 and "content" in message and has_text_only(message)


def new_answer_id() -> str:
    """Return the id of an answer whose target gives none."""
    return f"chatcmpl-{secrets.token_hex(14)}"


def is_interrupted(data: dict[str, Any]) -> bool:
    """Return whether the target says of a completed answer that one of its choices was cut."""
    return any(choice["finish_reason"] == INTERRUPTED for choice in data["choices"])


def _completed(choice: dict[str, Any], position: int, is_forced: bool) -> dict[str, Any]:
    given = message_in(choice, "message", "delta")
    message = _message(given or {})
    word, reason = choice.get("finish_reason"), _reason(choice, message, is_forced)
    index = choice.get("index")
    if message is choice.get("message") and reason == word and type(index) is int and index >= 0:
        return choice
    others = {name: value for name, value in choice.items() if name not in _READ_MEMBERS}
    return {
        "index": index if type(index) is int and index >= 0 else position,
        "message": message,
        "logprobs": choice.get("logprobs"),
        "finish_reason": reason,
        **native_reason(word),
        **others,
    }


def _message(given: dict[str, Any]) -> dict[str, Any]:
    calls = given.get("tool_calls")
    if given.get("role") == "assistant" and "content" in given and has_text_only(given) and _are_right(calls):
        return given
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None, **with_text(given)}
    message["role"] = "assistant"
    if isinstance(calls, list) and calls:
        message["tool_calls"] = ToolCalls().take_whole(calls)
    elif calls is not None:
        message.pop("tool_calls")
    return message


def _are_right(calls: object) -> bool:
    """Return whether the tool calls of a message are as OpenAI sends them; so are none."""
    if not calls:
        return calls is None or isinstance(calls, list)
    return isinstance(calls, list) and all(isinstance(call, dict) for call in calls) and ToolCalls().take_whole(calls) == calls


def _reason(choice: dict[str, Any], message: dict[str, Any], is_forced: bool) -> str:
    reason = read_reason(choice.get("finish_reason"))
    if reason is not None and (reason != "stop" or is_forced):
        return reason
    return "tool_calls" if message.get("tool_calls") else "function_call" if message.get("function_call") else "stop"
