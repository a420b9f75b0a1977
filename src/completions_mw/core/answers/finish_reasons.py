"""Why an answer ended: OpenAI's five finish reasons, in whatever words they come (docs/contract.md, Answers)."""

import re
from typing import Any, Final

from completions_mw.errors import UpstreamError

FINISH_REASONS: Final = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})
INTERRUPTED: Final = "interrupted"
"""Stands for every word that says that the answer was cut."""

_WORDS: Final = {
    "stop": "stop eos eostoken eot endturn endofturn end stopsequence complete completed done finish finished",
    "length": "length maxtokens maxtoken maxlength maxoutputtokens maxnewtokens modellength tokenlimit contextlength contextwindowexceeded "
    "modelcontextwindowexceeded",
    "tool_calls": "toolcalls toolcall tooluse",
    "content_filter": "contentfilter contentfiltered safety imagesafety refusal recitation imagerecitation blocklist prohibitedcontent "
    "imageprohibitedcontent spii sensitive language blocked guardrailintervened moderation risk modelarmor escalation",
    "function_call": "functioncall",
    INTERRUPTED: "abort aborted error errored insufficientsystemresource networkerror cancel canceled cancelled interrupted failed failure "
    "timeout timedout disconnected unavailable overloaded servererror internalerror malformedfunctioncall unexpectedtoolcall "
    "malformedresponse toomanytoolcalls missingthoughtsignature malformedmodeloutput malformedtooluse",
}
_REASONS: Final = {word: reason for reason, words in _WORDS.items() for word in words.split()}
"""OpenAI's reason by the word of a vendor: Anthropic, Bedrock, Gemini, Cohere, DeepSeek, Mistral, OpenRouter, SGLang, TGI, vLLM."""
_SIGNS_OF_FAILURE: Final = re.compile("abort|error|fail|cancel|timeout|insufficient|interrupt|unavailable|overload|disconnect")


def read_reason(word: object) -> str | None:
    """Return the finish reason that `word` stands for: one of `FINISH_REASONS`, `INTERRUPTED`, or None where it is not a reason.

    A word that nobody knows is `stop`, unless it sounds like a failure.
    """
    if not isinstance(word, str):
        return None
    if word in FINISH_REASONS:
        return word
    name = _name_of(word)
    if not name or name in ("null", "none", "unspecified"):
        return None
    return _REASONS.get(name) or (INTERRUPTED if _SIGNS_OF_FAILURE.search(name) else "stop")


def native_reason(word: object) -> dict[str, Any]:
    """Return the member with the target's own word, for a choice whose reason was put in OpenAI's; none for words that nobody knows."""
    is_known = isinstance(word, str) and word not in FINISH_REASONS and _name_of(word) in _REASONS
    return {"native_finish_reason": word} if is_known else {}


def _name_of(word: str) -> str:
    return re.sub("[^a-z]", "", word.lower()).removeprefix("finishreason")


def interrupted_error(usage: dict[str, Any] | None = None, received: int | None = None) -> UpstreamError:
    """Return the error for an answer whose target says that it was cut.

    Args:
        usage: usage that the target reported for a whole answer; None if it reported none.
        received: size of the text that no usage counts; None where there is none.
    """
    error = UpstreamError("The upstream provider stopped before its answer was complete.", code="upstream_incomplete")
    error.usage, error.received = usage, received
    return error
