"""Answers of the Gemini API. Source: https://ai.google.dev/api/generate-content#generatecontentresponse."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic_core import from_json, to_json

from completions_mw.errors import UpstreamError
from completions_mw.providers.base import Completion
from completions_mw.providers.gemini.errors import reported_error
from completions_mw.providers.gemini.logprobs import logprobs_of
from completions_mw.providers.gemini.thinking import signed

_REASONS: Final = {"STOP": "stop", "MAX_TOKENS": "length"} | dict.fromkeys(
    ["CONTINUATION", "IMAGE_OTHER", "NO_IMAGE", "OTHER", "PUP_LIMITED_DISABLED"], "error"
)
"""Finish reasons by those of the API; `error` where the API says only that the answer is not complete. The core translates the others."""
_KEPT: Final = ("citationMetadata", "groundingMetadata", "safetyRatings", "urlContextMetadata")
"""Members of a candidate that clients get as they are."""


def parse_completion(body: bytes) -> Completion:
    """Return the completion in the body of an answer.

    Raises:
        GatewayError: the body reports an error, or is not an answer of this API.
    """
    answer = parse_object(body)
    try:
        choices = [whole_choice(candidate, position) for position, candidate in enumerate(answer.get("candidates") or ())]
        if not choices and (reason := blocked(answer)) is not None:
            choices = [{"index": 0, "message": {"role": "assistant", "content": None, "refusal": None}, "finish_reason": reason}]
        if not choices:
            raise unusable()
        return Completion({**envelope(answer), "choices": choices})
    except (LookupError, TypeError, ValueError, AttributeError):
        raise unusable() from None


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the object of an answer, or of an event of a stream.

    Raises:
        GatewayError: the body reports an error, or is not an object.
    """
    try:
        answer = from_json(body, allow_inf_nan=False)
    except ValueError:
        raise unusable() from None
    # The error of a stream that was asked without `alt=sse` is in a list.
    if isinstance(answer, list) and answer:
        answer = answer[0]
    if not isinstance(answer, dict):
        raise unusable()
    if answer.get("error"):
        raise reported_error(answer)
    return answer


def whole_choice(candidate: Mapping[str, Any], position: int) -> dict[str, Any]:
    """Return the choice that a candidate of a whole answer becomes."""
    message = {"role": "assistant", "content": None, "refusal": None, **message_members(candidate)}
    # "If empty, the model has not stopped generating tokens."
    return _choice(candidate, position, message=message, finish_reason=_finish_reason(candidate) or "interrupted")


def piece_of_choice(candidate: Mapping[str, Any], position: int, calls_before: int) -> dict[str, Any]:
    """Return the choice of a chunk that a candidate of an event becomes.

    Args:
        candidate: a candidate, as far as it has come since the event before.
        position: position of the candidate in its event.
        calls_before: number of calls in earlier events.
    """
    return _choice(candidate, position, delta=message_members(candidate, calls_before), finish_reason=_finish_reason(candidate))


def blocked(answer: Mapping[str, Any]) -> str | None:
    """Return the finish reason of an answer without candidates: `content_filter` if the prompt was blocked, else None."""
    return "content_filter" if (answer.get("promptFeedback") or {}).get("blockReason") else None


def envelope(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of an answer besides its choices; the core fills in what is missing."""
    usage, id = usage_of(answer.get("usageMetadata") or {}), answer.get("responseId")
    named = {"id": f"chatcmpl-{id}" if id else None, "model": answer.get("modelVersion"), "usage": usage}
    return {name: value for name, value in named.items() if value}


def message_members(candidate: Mapping[str, Any], calls_before: int = 0) -> dict[str, Any]:
    """Return what the parts of a candidate add to a message: text, thoughts, calls, and other parts as they are."""
    texts, thoughts = "", ""
    calls: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    signature: dict[str, Any] = {}
    for part in (candidate.get("content") or {}).get("parts") or ():
        if call := part.get("functionCall"):
            function = {"name": call["name"], "arguments": to_json(call.get("args") or {}).decode()}
            # The API leaves the id out for older models; the core then makes one.
            id = {"id": call["id"]} if call.get("id") else {}
            calls.append({"index": calls_before + len(calls), **id, "type": "function", "function": function, **signed(part)})
            continue
        if "text" not in part:
            others.append(_media(part))
        elif part.get("thought"):
            thoughts += part["text"]
        else:
            texts += part["text"]
        signature = signed(part) or signature
    found = {"content": texts, "reasoning_content": thoughts, "tool_calls": calls, "content_parts": others, **signature}
    return {name: value for name, value in found.items() if value}


def usage_of(metadata: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the `usage` object; None if the answer does not say what it used.

    Source: https://ai.google.dev/api/generate-content#UsageMetadata. Thoughts, and results of the API's own tools, are billed, and are not
    in the counts of the candidates and of the prompt.
    """
    if "promptTokenCount" not in metadata:
        return None
    thoughts = metadata.get("thoughtsTokenCount") or 0
    prompt = metadata["promptTokenCount"] + (metadata.get("toolUsePromptTokenCount") or 0)
    completion = (metadata.get("candidatesTokenCount") or 0) + thoughts
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": metadata.get("cachedContentTokenCount") or 0},
        "completion_tokens_details": {"reasoning_tokens": thoughts},
    }


def unusable() -> UpstreamError:
    """Return the error for bytes that are not an answer of this API."""
    return UpstreamError("The upstream provider sent an answer that is not of the Gemini API.", code="upstream_protocol_error")


def _choice(candidate: Mapping[str, Any], position: int, **members: Any) -> dict[str, Any]:
    index = candidate.get("index")
    choice = {"index": position if index is None else index, **members, "logprobs": logprobs_of(candidate)}
    return choice | {name: candidate[name] for name in _KEPT if candidate.get(name)}


def _finish_reason(candidate: Mapping[str, Any]) -> str | None:
    word = candidate.get("finishReason")
    return _REASONS.get(word, word) if word else None


def _media(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return a part that is not text: an image as OpenAI's `image_url`, anything else as it is."""
    inline = part.get("inlineData")
    if not inline:
        return dict(part)
    return {"type": "image_url", "image_url": {"url": f"data:{inline['mimeType']};base64,{inline['data']}"}}
