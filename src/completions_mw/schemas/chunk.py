"""Pieces of a streamed answer (docs/contract.md, Streams)."""

from typing import Any

from completions_mw.schemas.base import Output
from completions_mw.schemas.response import Logprobs, Usage


class FunctionDelta(Output):
    """A piece of a function call. The client joins the pieces of `arguments`."""

    name: str | None = None
    arguments: str | None = None


class ToolCallDelta(Output):
    """A piece of a tool call, whose position in the message is `index`."""

    index: int
    id: str | None = None
    type: str | None = None
    function: FunctionDelta | None = None


class AudioDelta(Output):
    """A piece of an audio answer."""

    id: str | None = None
    data: str | None = None
    expires_at: int | None = None
    transcript: str | None = None


class Delta(Output):
    """The part of a message that a chunk adds."""

    role: str | None = None
    content: str | None = None
    refusal: str | None = None
    audio: AudioDelta | None = None
    function_call: FunctionDelta | None = None
    tool_calls: list[ToolCallDelta] | None = None


class ChunkChoice(Output):
    """The part of one choice that a chunk adds. `index` is the position of the choice."""

    index: int
    delta: Delta
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class ChatCompletionChunk(Output):
    """A piece of a streamed answer. The last chunk carries `usage`, if it was asked for, and has no choices."""

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
