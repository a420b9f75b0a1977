"""Usage where a model reports none: an estimate. A tokenizer would need vocabularies that nobody should have to download."""

from typing import Any

from completions_mw.schemas import ChatRequest

CHARACTERS_PER_TOKEN = 4


def estimate_tokens(characters: int) -> int:
    """Return about how many tokens that many characters of text are: a quarter, rounded up."""
    return -(-characters // CHARACTERS_PER_TOKEN)


def estimate_usage(request: ChatRequest, characters: int) -> dict[str, Any]:
    """Return the `usage` object for an answer to `request` with that many characters of text."""
    prompt = estimate_tokens(sum(len(message.text) for message in request.messages))
    return usage_object(prompt, estimate_tokens(characters))


def usage_object(prompt_tokens: int, completion_tokens: int) -> dict[str, Any]:
    """Return the three members of `usage` that SPEC section 7 requires."""
    return {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens, "total_tokens": prompt_tokens + completion_tokens}
