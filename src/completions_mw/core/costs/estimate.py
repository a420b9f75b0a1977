"""The tokens that a request may take, estimated before it is sent from its text and from what it asks for."""

from typing import Any, Final, NamedTuple

from pydantic_core import to_json

from completions_mw.core.costs.tokens import estimate_tokens
from completions_mw.core.validation.request import Chat

MESSAGE_BYTES: Final = 16
"""What the chat template of a model adds to each message."""
MEDIA_TOKENS: Final = 2048
"""Of an image, a sound or a file, whose tokens only the provider can count."""
_OTHERS: Final = ("tools", "functions", "response_format", "prediction")
"""What a model reads beside the messages."""


class TokenEstimate(NamedTuple):
    """Tokens that a request may take."""

    prompt: int
    """Likely, for rate limits."""
    prompt_bound: int
    """At most, for money: no tokenizer makes more tokens than there are bytes. Media are guessed."""
    completion: int
    """At most, of all choices together."""
    per_choice: int
    """At most, of one choice."""
    client_set_max: bool
    """Whether the request itself sets that maximum."""
    service_tier: str | None = None
    """The tier of service that the request asks for: some cost more than the price that is known."""


def estimate_request(chat: Chat, max_output_tokens: int) -> TokenEstimate:
    """Return what `chat` may take.

    Args:
        chat: the request.
        max_output_tokens: of one choice, where the request sets no maximum.
    """
    size, media, attached = _prompt(chat.fields)
    if forwarded := chat.request.model_extra:
        # Of fields that nobody here knows, some become a part of the prompt, as the `documents` of vLLM.
        size += len(to_json(forwarded))
    maximum = chat.max_tokens
    per_choice = max_output_tokens if maximum is None else maximum
    extra = media * MEDIA_TOKENS
    return TokenEstimate(
        prompt=estimate_tokens(size) + extra,
        prompt_bound=size + attached + extra,
        completion=per_choice * chat.n,
        per_choice=per_choice,
        client_set_max=maximum is not None,
        service_tier=chat.request.service_tier,
    )


def _prompt(fields: dict[str, Any]) -> tuple[int, int, int]:
    """Return the bytes of text of a prompt, how many media it has, and the bytes of files that may be text as well."""
    messages = fields["messages"]
    size, media, attached = MESSAGE_BYTES * len(messages), 0, 0
    for message in messages:
        for name, value in message.items():
            if isinstance(value, str):
                size += len(value) if value.isascii() else _bytes(value)
            elif name == "content" and isinstance(value, list):
                size += sum(_bytes(text) for part in value if isinstance(text := part.get("text", part.get("refusal")), str))
                media += sum(part.get("type") not in ("text", "refusal") for part in value)
                attached += sum(len(data) for part in value if isinstance(data := (part.get("file") or {}).get("file_data"), str))
            elif value is not None:
                size += len(to_json(value))
    for name in _OTHERS:
        if name in fields:
            size += len(to_json(fields[name]))
    return size, media, attached


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
