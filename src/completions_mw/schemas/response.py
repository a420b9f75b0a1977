"""A whole answer, `ChatCompletion`, and its parts (docs/contract.md, Answers).

Members that a provider adds are kept, and `model_dump(exclude_unset=True)` returns exactly the members that the provider sent.
"""

from typing import Any

from completions_mw.schemas.base import Output, WholeAnswer


class PromptTokensDetails(Output):
    """Prompt tokens by kind."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    text_tokens: int | None = None


class CompletionTokensDetails(Output):
    """Completion tokens by kind."""

    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    text_tokens: int | None = None
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None


class Usage(Output):
    """Tokens that a request used."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails | None = None
    completion_tokens_details: CompletionTokensDetails | None = None


class TopLogprob(Output):
    """One of the most likely tokens at a position of the answer."""

    token: str
    logprob: float | None
    """None where the target has minus infinity, which JSON does not know."""
    bytes: list[int] | None = None


class TokenLogprob(TopLogprob):
    """A token of the answer, and the most likely tokens at its position."""

    top_logprobs: list[TopLogprob] | None = None


class Logprobs(Output):
    """Log probabilities of the tokens of an answer."""

    content: list[TokenLogprob] | None = None
    refusal: list[TokenLogprob] | None = None


class CalledFunction(Output):
    """A function that the model calls. `arguments` is a string of JSON, which the model may have malformed."""

    name: str
    arguments: str


class CalledTool(Output):
    """A custom tool that the model calls, and its input as text."""

    name: str
    input: str


class CompletionToolCall(Output):
    """A call that the model makes of a function or of a custom tool."""

    id: str
    type: str = "function"
    function: CalledFunction | None = None
    custom: CalledTool | None = None


class CompletionAudio(Output):
    """An audio answer. `data` is base64."""

    id: str
    data: str | None = None
    expires_at: int | None = None
    transcript: str | None = None


class CompletionMessage(Output):
    """The assistant's message. It may be sent back as a message of the next request."""

    role: str = "assistant"
    content: str | None = None
    refusal: str | None = None
    annotations: list[dict[str, Any]] | None = None
    audio: CompletionAudio | None = None
    function_call: CalledFunction | None = None
    tool_calls: list[CompletionToolCall] | None = None


class Choice(Output):
    """One of the `n` answers to a request."""

    index: int
    message: CompletionMessage
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class ChatCompletion(WholeAnswer):
    """A whole answer to a chat completions request."""

    id: str
    object: str = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    metadata: dict[str, str] | None = None
    moderation: dict[str, Any] | None = None
