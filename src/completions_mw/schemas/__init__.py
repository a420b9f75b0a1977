"""The wire contract of chat completions as types: requests (strict where OpenAI is) and answers (tolerant).

`messages` and `tools` hold what requests are made of; the names here are those that others need.
"""

from completions_mw.schemas.messages import (
    AssistantMessage,
    DeveloperMessage,
    FunctionMessage,
    Message,
    SystemMessage,
    ToolMessage,
    UserMessage,
)
from completions_mw.schemas.request import ChatRequest, StreamOptions
from completions_mw.schemas.response import (
    ChatCompletion,
    ChatCompletionChunk,
    Choice,
    ChunkChoice,
    CompletionMessage,
    CompletionToolCall,
    Delta,
    ModelCard,
    ModelList,
    ToolCallDelta,
    Usage,
)

__all__ = [
    "AssistantMessage",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatRequest",
    "Choice",
    "ChunkChoice",
    "CompletionMessage",
    "CompletionToolCall",
    "Delta",
    "DeveloperMessage",
    "FunctionMessage",
    "Message",
    "ModelCard",
    "ModelList",
    "StreamOptions",
    "SystemMessage",
    "ToolCallDelta",
    "ToolMessage",
    "Usage",
    "UserMessage",
]
