"""How many tokens a request may take: guessed before it is sent, from its text and from what it asks for."""

from typing import Any, Final, NamedTuple

from pydantic_core import to_json

from completions_mw.core.usage import estimate_tokens
from completions_mw.core.validation import Chat

MESSAGE_BYTES: Final = 16
"""What the chat template of a model adds to each message."""
MEDIA_TOKENS: Final = 2048
"""Of an image, a sound or a file, whose tokens only the provider can count."""
_OTHERS: Final = ("tools", "functions", "response_format")
"""What a model reads beside the messages."""


class Demand(NamedTuple):
    """Tokens that a request may take."""

    prompt: int
    """Likely, for rate limits."""
    prompt_bound: int
    """At most, for money: no tokenizer makes more tokens than there are bytes. Media are guessed."""
    completion: int
    """At most, of all choices together."""
    stated: bool
    """Whether the request itself sets that maximum."""


def demand_of(chat: Chat, max_output_tokens: int) -> Demand:
    """Return what `chat` may take.

    Args:
        chat: the request.
        max_output_tokens: of one choice, where the request sets no maximum.
    """
    size, media = _prompt(chat.fields)
    stated = chat.max_tokens
    completion = (max_output_tokens if stated is None else stated) * chat.n
    extra = media * MEDIA_TOKENS
    return Demand(estimate_tokens(size) + extra, size + extra, completion, stated is not None)


def _prompt(fields: dict[str, Any]) -> tuple[int, int]:
    """Return the bytes of text of a prompt, and how many media it has."""
    messages = fields["messages"]
    size, media = MESSAGE_BYTES * len(messages), 0
    for message in messages:
        for name, value in message.items():
            if isinstance(value, str):
                size += len(value) if value.isascii() else _bytes(value)
            elif name == "content" and isinstance(value, list):
                size += sum(_bytes(part["text"]) for part in value if isinstance(part.get("text"), str))
                media += sum(part.get("type") not in ("text", "refusal") for part in value)
            elif value is not None:
                size += len(to_json(value))
    for name in _OTHERS:
        if name in fields:
            size += len(to_json(fields[name]))
    return size, media


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
