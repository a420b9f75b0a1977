"""Answers of the API (docs/contract.md, Answers, Streams and Models).

They are typed for those who read them and tolerant of what they hold: members that a provider adds are kept, and
`model_dump(exclude_unset=True)` gives back what came in.
"""

from typing import Any

from completions_mw.schemas.base import Answer


class PromptTokensDetails(Answer):
    """What the tokens of the prompt were."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    text_tokens: int | None = None


class CompletionTokensDetails(Answer):
    """What the tokens of the answer were."""

    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    text_tokens: int | None = None
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None


class Usage(Answer):
    """What the answer cost, in tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails | None = None
    completion_tokens_details: CompletionTokensDetails | None = None


class TopLogprob(Answer):
    """One of the likeliest tokens at a position."""

    token: str
    logprob: float
    bytes: list[int] | None = None


class TokenLogprob(TopLogprob):
    """A token of the answer, and what else could have stood there."""

    top_logprobs: list[TopLogprob] | None = None


class Logprobs(Answer):
    """The log probabilities of an answer."""

    content: list[TokenLogprob] | None = None
    refusal: list[TokenLogprob] | None = None


class CalledFunction(Answer):
    """A function that the model calls; `arguments` is JSON in a string, and may be malformed."""

    name: str
    arguments: str


class CalledTool(Answer):
    """A custom tool that the model calls."""

    name: str
    input: str


class CompletionToolCall(Answer):
    """A call that the model makes: of a function, or of a custom tool."""

    id: str
    type: str = "function"
    function: CalledFunction | None = None
    custom: CalledTool | None = None


class CompletionAudio(Answer):
    """The answer as audio."""

    id: str
    data: str | None = None
    expires_at: int | None = None
    transcript: str | None = None


class CompletionMessage(Answer):
    """What the assistant answered. Its dump is accepted as a message of the next request."""

    role: str = "assistant"
    content: str | None = None
    refusal: str | None = None
    annotations: list[dict[str, Any]] | None = None
    audio: CompletionAudio | None = None
    function_call: CalledFunction | None = None
    tool_calls: list[CompletionToolCall] | None = None


class Choice(Answer):
    """One of the `n` answers."""

    index: int
    message: CompletionMessage
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class ChatCompletion(Answer):
    """A whole answer."""

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


class FunctionDelta(Answer):
    """A piece of a function call; the pieces of `arguments` are to be joined."""

    name: str | None = None
    arguments: str | None = None


class ToolCallDelta(Answer):
    """A piece of the tool call that stands at `index`."""

    index: int
    id: str | None = None
    type: str | None = None
    function: FunctionDelta | None = None


class AudioDelta(Answer):
    """A piece of the audio."""

    id: str | None = None
    data: str | None = None
    expires_at: int | None = None
    transcript: str | None = None


class Delta(Answer):
    """What a chunk adds to a message."""

    role: str | None = None
    content: str | None = None
    refusal: str | None = None
    audio: AudioDelta | None = None
    function_call: FunctionDelta | None = None
    tool_calls: list[ToolCallDelta] | None = None


class ChunkChoice(Answer):
    """What a chunk adds to the answer that stands at `index`."""

    index: int
    delta: Delta
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class ChatCompletionChunk(Answer):
    """A piece of a streamed answer; the one that carries `usage` at the end has no choices."""

    id: str
    object: str = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    obfuscation: str | None = None
    moderation: dict[str, Any] | None = None


class ModelCard(Answer):
    """A model that the caller may use."""

    id: str
    object: str = "model"
    created: int
    owned_by: str
    shutdown_date: str | None = None


class ModelList(Answer):
    """The models that the caller may use."""

    object: str = "list"
    data: list[ModelCard]
