"""Whole answers of Bedrock. Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pydantic_core import from_json, to_json

from completions_mw.errors import UpstreamError
from completions_mw.providers.base import Completion

_REASONS: Final = {"end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls"}
"""Finish reasons by stop reason. The core translates the others, and keeps the original as `native_finish_reason`."""


def parse_completion(body: bytes) -> Completion:
    """Return the completion in the body of an answer.

    Raises:
        UpstreamError: the body is not an answer of this API.
    """
    try:
        answer = from_json(body, allow_inf_nan=False)
        message = {"role": "assistant", "content": None, "refusal": None, **_message_members(answer["output"]["message"]["content"])}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason_of(answer["stopReason"])}
        return Completion({"choices": [choice], "usage": usage_of(answer["usage"]), **tier_of(answer)})
    except (LookupError, TypeError, ValueError, AttributeError):
        raise unusable() from None


def usage_of(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `usage` object. Bedrock counts tokens that were read from its cache, or written to it, apart from the input.

    Source: https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html.
    """
    read, written = usage.get("cacheReadInputTokens") or 0, usage.get("cacheWriteInputTokens") or 0
    prompt, completion = usage["inputTokens"] + read + written, usage["outputTokens"]
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
    }


def tier_of(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the member with the service tier, if an answer has it."""
    tier = (answer.get("serviceTier") or {}).get("type")
    return {"service_tier": tier} if tier else {}


def reason_of(word: str) -> str:
    """Return the finish reason for a stop reason."""
    return _REASONS.get(word, word)


def thinking_blocks(reasoning: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return signed reasoning as `thinking_blocks` in the form of Anthropic's API, for clients to send back."""
    blocks: list[dict[str, Any]] = []
    for content in reasoning:
        text = content.get("reasoningText", {})
        if text.get("signature"):
            blocks.append({"type": "thinking", "thinking": text["text"], "signature": text["signature"]})
        elif "redactedContent" in content:
            blocks.append({"type": "redacted_thinking", "data": content["redactedContent"]})
    return blocks


def unusable() -> UpstreamError:
    """Return the error for bytes that are not an answer of this API."""
    return UpstreamError("The upstream provider sent an answer that is not of Bedrock's Converse API.", code="upstream_protocol_error")


def _message_members(blocks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what content blocks say, as members of a message."""
    texts, thoughts = "", ""
    calls: list[dict[str, Any]] = []
    reasoning: list[Mapping[str, Any]] = []
    others: list[Mapping[str, Any]] = []
    for block in blocks:
        if "text" in block:
            texts += block["text"]
        elif "toolUse" in block:
            used = block["toolUse"]
            function = {"name": used["name"], "arguments": to_json(used["input"]).decode()}
            calls.append({"id": used["toolUseId"], "type": "function", "function": function})
        elif "reasoningContent" in block:
            reasoning.append(block["reasoningContent"])
            thoughts += reasoning[-1].get("reasoningText", {}).get("text", "")
        else:
            cited = block.get("citationsContent", {}).get("content", ())
            texts += "".join(part.get("text", "") for part in cited)
            others.append(block)
    found = {
        "content": texts,
        "reasoning_content": thoughts,
        "thinking_blocks": thinking_blocks(reasoning),
        "tool_calls": calls,
        "content_parts": others,
    }
    return {name: value for name, value in found.items() if value}
