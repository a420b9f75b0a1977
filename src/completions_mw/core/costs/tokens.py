"""Token counts: an estimate for each request before it is sent, and the usage of its answer, reported or estimated.

Estimates need no tokenizer, whose vocabularies would have to be downloaded.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from pydantic_core import to_json

from completions_mw.core.costs.media import MediaRules, media_tokens, rules_of
from completions_mw.core.validation.embeddings import Embed
from completions_mw.core.validation.request import Chat
from completions_mw.core.validation.valid_request import ValidRequest
from completions_mw.schemas import ChatRequest

CHARACTERS_PER_TOKEN: Final = 4
MESSAGE_BYTES: Final = 16
"""Bytes that a model's chat template is assumed to add to each message."""
SPECIAL_TOKENS: Final = 2
"""Tokens that embedding models add to each input, as BERT's `[CLS]` and `[SEP]`."""
MAX_TOKENS: Final = 2**40
"""Largest token count that is believed: millions of rows with such counts still have a sum of 64 bits."""
_OTHER_PROMPT_FIELDS: Final = frozenset({"tools", "functions", "response_format", "prediction"})
"""Fields besides the messages that a model reads as part of its prompt."""
ANY_MODEL: Final = (rules_of(""),)
"""Rules for images, audio and files of a model that is not known."""
_COUNTS: Final = ("prompt_tokens", "completion_tokens", "total_tokens")


@dataclass(slots=True)
class TokenEstimate:
    """Tokens that a request may use."""

    prompt: int
    """Likely number of prompt tokens; for rate limits."""
    prompt_bound: int
    """Upper bound of prompt tokens; for money. No tokenizer makes more tokens than there are bytes."""
    completion: int
    """Maximum of completion tokens of all choices together."""
    per_choice: int
    """Maximum of completion tokens of one choice."""
    client_set_max: bool
    """Whether the request itself sets that maximum."""
    service_tier: str | None = None
    """Service tier that the request asks for; some tiers cost more than the known price."""
    media_bound: int = 0
    """Part of `prompt_bound` that images, audio and files are counted as."""

    def under(self, limit: int) -> int:
        """Return the tokens that the request reserves under a limit on tokens."""
        tokens = self.prompt + self.completion
        # The client did not ask for the default maximum, so a small limit must not refuse the request for ever.
        return tokens if tokens <= limit or self.client_set_max else max(self.prompt, limit)


NO_ESTIMATE: Final = TokenEstimate(0, 0, 0, 0, client_set_max=True)
"""In place of the estimate of a request whose tokens do not count."""


def estimate_request(request: ValidRequest, max_output_tokens: int, media: Iterable[MediaRules] = ANY_MODEL) -> TokenEstimate:
    """Return the tokens that a request may use.

    Args:
        request: the request, of any kind.
        max_output_tokens: maximum of completion tokens of one choice, for a chat request that sets none.
        media: rules for images, audio and files of the models that may be asked.
    """
    if isinstance(request, Embed):
        return estimate_embeddings(request)
    assert isinstance(request, Chat)
    size, parts = _prompt(request.fields)
    if forwarded := request.forwarded:
        # Some unknown fields become part of the prompt, as `documents` of vLLM.
        size += len(to_json(forwarded))
    maximum = request.max_tokens
    per_choice = max_output_tokens if maximum is None else maximum
    prompt, media_bound = estimate_tokens(size), 0
    if parts:
        extra = media_tokens(parts, media)
        prompt, media_bound = prompt + extra.likely, extra.bound
    tier = request.fields.get("service_tier")
    return TokenEstimate(prompt, size + media_bound, per_choice * request.n, per_choice, maximum is not None, tier, media_bound)


def estimate_embeddings(request: Embed) -> TokenEstimate:
    """Return the tokens that an embeddings request may use: tokens are counted, and texts are estimated by their bytes."""
    inputs = request.inputs
    sizes = [_bytes(one) for one in inputs if isinstance(one, str)]
    counted = sum(len(one) for one in inputs if not isinstance(one, str))
    prompt = counted + sum(map(estimate_tokens, sizes))
    bound = counted + sum(sizes) + SPECIAL_TOKENS * len(inputs)
    return TokenEstimate(prompt, bound, completion=0, per_choice=0, client_set_max=True)


def _prompt(fields: dict[str, Any]) -> tuple[int, list[dict[str, Any]]]:
    """Return the bytes of text of a prompt, and its images, audio and files."""
    messages = fields["messages"]
    size = MESSAGE_BYTES * len(messages)
    media: list[dict[str, Any]] = []
    for message in messages:
        for name, value in message.items():
            if isinstance(value, str):
                size += len(value) if value.isascii() else _bytes(value)
            elif name == "content" and isinstance(value, list):
                size += sum(_bytes(text) for part in value if isinstance(text := part.get("text", part.get("refusal")), str))
                media += (part for part in value if part.get("type") not in ("text", "refusal"))
            elif value is not None:
                size += len(to_json(value))
    if not _OTHER_PROMPT_FIELDS.isdisjoint(fields):
        size += sum(len(to_json(fields[name])) for name in _OTHER_PROMPT_FIELDS if name in fields)
    return size, media


def estimate_tokens(characters: int) -> int:
    """Return the estimated tokens of a text with that many characters: a quarter, rounded up."""
    return -(-characters // CHARACTERS_PER_TOKEN)


def size_of(values: Mapping[str, Any]) -> int:
    """Return the size of a message or delta: bytes of its texts and of the arguments of its calls, without the role.

    Languages that need more bytes for a character also need more tokens.
    """
    size = 0
    for name, value in values.items():
        if isinstance(value, str):
            if name != "role":
                size += len(value) if value.isascii() else _bytes(value)
        elif name in ("tool_calls", "function_call") and value:
            calls = value if isinstance(value, list) else [{"function": value}]
            size += sum(map(_arguments_of, calls))
    return size


def _arguments_of(call: object) -> int:
    """Return the length of a tool call's arguments, 0 for a value that is not a call."""
    function = call.get("function") if isinstance(call, Mapping) else None
    arguments = function.get("arguments") if isinstance(function, Mapping) else None
    return len(arguments) if isinstance(arguments, str) else 0


def estimate_usage(request: ChatRequest, characters: int) -> dict[str, Any]:
    """Return the estimated `usage` object of an answer to `request` with that many characters of text."""
    prompt = estimate_tokens(sum(len(message.text) for message in request.messages))
    return usage_object(prompt, estimate_tokens(characters))


def at_least(usage: Mapping[str, Any], estimate: Mapping[str, Any]) -> dict[str, Any]:
    """Return `usage` raised to the prompt and completion tokens of `estimate`; tokens that only its total has count as completion."""
    prompt = max(usage["prompt_tokens"], estimate["prompt_tokens"])
    unnamed = usage["total_tokens"] - usage["prompt_tokens"]
    return {**usage, **usage_object(prompt, max(usage["completion_tokens"], unnamed, estimate["completion_tokens"]))}


def usage_object(prompt_tokens: int, completion_tokens: int) -> dict[str, Any]:
    """Return the three members of `usage` that OpenAI requires (docs/contract.md, Answers)."""
    return {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens, "total_tokens": prompt_tokens + completion_tokens}


def counts_answer(usage: Mapping[str, Any]) -> bool:
    """Return whether a `usage` object counts any token of the answer: some targets report zeros."""
    return bool(usage["completion_tokens"] or usage["total_tokens"] > usage["prompt_tokens"])


def is_usage(usage: object) -> TypeGuard[dict[str, Any]]:
    """Return whether a value is a `usage` object whose three counts are plausible (docs/promises.md, Money)."""
    if not isinstance(usage, dict):
        return False
    for name in _COUNTS:
        count = usage.get(name)
        if type(count) is not int or not 0 <= count < MAX_TOKENS:
            return False
    return True


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
