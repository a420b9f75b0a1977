"""Usage where a model reports none: an estimate. A tokenizer would need vocabularies that nobody should have to download."""

from collections.abc import Mapping
from typing import Any, Final, TypeGuard

from completions_mw.schemas import ChatRequest

CHARACTERS_PER_TOKEN: Final = 4
_COUNTS: Final = ("prompt_tokens", "completion_tokens", "total_tokens")
MAX_TOKENS: Final = 2**40
"""No usage is larger: a count beyond it is a fault of the upstream. Millions of rows with such counts have sums of 64 bits."""


def estimate_tokens(characters: int) -> int:
    """Return about how many tokens that many characters of text are: a quarter, rounded up."""
    return -(-characters // CHARACTERS_PER_TOKEN)


def size_of(values: Mapping[str, Any]) -> int:
    """Return how much a message, or a part of one, says: the bytes of its texts and of the arguments of its calls, the role aside.

    Bytes, since languages that need more of them for a character also need more tokens.
    """
    size = 0
    for name, value in values.items():
        if isinstance(value, str):
            if name != "role":
                size += len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
        elif name in ("tool_calls", "function_call") and value:
            calls = value if isinstance(value, list) else [{"function": value}]
            size += sum(map(_arguments_of, calls))
    return size


def _arguments_of(call: object) -> int:
    """Return the length of a tool call's arguments, 0 for what is none."""
    function = call.get("function") if isinstance(call, Mapping) else None
    arguments = function.get("arguments") if isinstance(function, Mapping) else None
    return len(arguments) if isinstance(arguments, str) else 0


def estimate_usage(request: ChatRequest, characters: int) -> dict[str, Any]:
    """Return the `usage` object for an answer to `request` with that many characters of text."""
    prompt = estimate_tokens(sum(len(message.text) for message in request.messages))
    return usage_object(prompt, estimate_tokens(characters))


def at_least(usage: Mapping[str, Any], estimate: Mapping[str, Any]) -> dict[str, Any]:
    """Return `usage` with no fewer tokens of either kind than `estimate` has; what is in its total alone is completion."""
    prompt = max(usage["prompt_tokens"], estimate["prompt_tokens"])
    unnamed = usage["total_tokens"] - usage["prompt_tokens"]
    return {**usage, **usage_object(prompt, max(usage["completion_tokens"], unnamed, estimate["completion_tokens"]))}


def usage_object(prompt_tokens: int, completion_tokens: int) -> dict[str, Any]:
    """Return the three members of `usage` that OpenAI requires (docs/contract.md, Answers)."""
    return {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens, "total_tokens": prompt_tokens + completion_tokens}


def is_usage(usage: object) -> TypeGuard[dict[str, Any]]:
    """Tell whether `usage` is one: an object whose totals are sane counts (docs/promises.md, Money)."""
    if not isinstance(usage, dict):
        return False
    for name in _COUNTS:
        count = usage.get(name)
        if type(count) is not int or not 0 <= count < MAX_TOKENS:
            return False
    return True
