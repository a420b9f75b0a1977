"""A whole answer of Anthropic's Messages API; usage and finish reasons in OpenAI's form.

Sources: https://platform.claude.com/docs/en/api/messages, https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic_core import from_json, to_json

from completions_mw.errors import UpstreamError
from completions_mw.providers.anthropic.errors import reported_error
from completions_mw.providers.base import Completion

_REASONS: Final = {"end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls"}
"""Finish reasons by stop reason. The core translates the others, and keeps the original as `native_finish_reason`."""
_PAUSED: Final = "pause_turn"


def parse_completion(body: bytes) -> Completion:
    """Return the `chat.completion` object for the body of an answer.

    Raises:
        GatewayError: the body reports an error, or is not a message.
    """
    try:
        message = from_json(body)
        if message["type"] == "error":
            raise reported_error(message)
        choice = {"index": 0, "message": _message(message), "logprobs": None, **finish_of(message)}
        return Completion({**envelope_of(message, "chat.completion"), "choices": [choice], "usage": usage_of(message["usage"])})
    except (ValueError, LookupError, TypeError, AttributeError):
        raise unusable() from None


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    texts: list[str] = []
    thoughts: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    for block in message["content"]:
        match block["type"]:
            case "text":
                texts.append(block["text"])
            case "thinking" | "redacted_thinking":
                thoughts.append(block)
            case "tool_use":
                calls.append(call_of(block, to_json(block["input"]).decode()))
    content = "".join(texts) if texts or not calls else None
    reasoning = "".join(thought.get("thinking", "") for thought in thoughts)
    signed = [thought for thought in thoughts if is_signed(thought)]
    return {
        "role": "assistant",
        "content": content,
        "refusal": refusal_of(message),
        **({"reasoning_content": reasoning} if reasoning else {}),
        **({"thinking_blocks": signed} if signed else {}),
        **({"tool_calls": calls} if calls else {}),
    }


def is_signed(thought: Mapping[str, Any]) -> bool:
    """Return whether the API takes a thought back: it has its signature, or is encrypted."""
    return bool(thought.get("signature")) or thought["type"] == "redacted_thinking"


def envelope_of(message: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return the id, object and model of an answer or of a chunk; `kind` is the object."""
    # Other servers with this API have OpenAI's prefix already.
    return {"id": f"chatcmpl-{message['id'].removeprefix('chatcmpl-')}", "object": kind, "model": message["model"]}


def call_of(block: Mapping[str, Any], arguments: str) -> dict[str, Any]:
    """Return the tool call, or the first piece of one, that a block makes."""
    return {"id": block["id"], "type": "function", "function": {"name": block["name"], "arguments": arguments}}


def refusal_of(stopped: Mapping[str, Any]) -> str | None:
    """Return the explanation of a refusal in a message or in the delta that ends one; None if there is none."""
    details = stopped.get("stop_details")
    text = details.get("explanation") if isinstance(details, dict) else None
    return text if isinstance(text, str) else None


def finish_of(stopped: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of a choice that say why an answer ended, which a message or the delta that ends one has.

    Raises:
        LookupError: there is no reason.
    """
    reason = stopped["stop_reason"]
    if reason == _PAUSED:
        # The turn is not over: to a client that took it for whole, the rest would be lost.
        return {"finish_reason": "length", "native_finish_reason": reason}
    return {"finish_reason": _REASONS.get(reason, reason)}


def usage_of(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Return a `usage` object in OpenAI's form, which counts cached tokens among those of the prompt; Anthropic counts them beside these.

    Raises:
        TypeError: a count is not a number.
    """
    read, written = usage.get("cache_read_input_tokens"), usage.get("cache_creation_input_tokens")
    prompt = usage["input_tokens"] + (read or 0) + (written or 0)
    completion = usage["output_tokens"]
    counts: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    if read is not None or written is not None:
        counts["prompt_tokens_details"] = {"cached_tokens": read or 0, "cache_write_tokens": written or 0}
    if details := usage.get("output_tokens_details"):
        counts["completion_tokens_details"] = {"reasoning_tokens": details["thinking_tokens"]}
    return counts


def unusable() -> UpstreamError:
    """Return the error for bytes that are not an answer of this API."""
    return UpstreamError("The upstream provider sent an answer that is not a message.", code="upstream_protocol_error")
