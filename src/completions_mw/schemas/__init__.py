"""OpenAI's chat completions and embeddings as types: requests, strict where OpenAI is strict, and answers, tolerant of what upstreams add.

base.py        base classes of requests and answers: what they do with unknown members
request.py     the body of a request, `ChatRequest`
messages.py    messages of the six roles, and the parts of their content
tools.py       tools, the choice between them, and the calls in earlier answers
parameters.py  objects that single parameters hold: response formats, stream options, audio, web search
response.py    a whole answer, `ChatCompletion`
chunk.py       the pieces of a streamed answer, `ChatCompletionChunk`
embeddings.py  requests and answers of embeddings, `EmbeddingRequest` and `EmbeddingResponse`
explanation.py answers to dry runs, `Explanation`
models.py      the answers of the routes for models

The names handed on here are those that other packages need.
"""

from completions_mw.schemas.chunk import ChatCompletionChunk, ChunkChoice, Delta, ToolCallDelta
from completions_mw.schemas.embeddings import Embedding, EmbeddingRequest, EmbeddingResponse, EmbeddingUsage
from completions_mw.schemas.explanation import Explanation
from completions_mw.schemas.messages import (
    AssistantMessage,
    DeveloperMessage,
    FunctionMessage,
    Message,
    SystemMessage,
    ToolMessage,
    UserMessage,
)
from completions_mw.schemas.models import ModelCard, ModelList
from completions_mw.schemas.parameters import StreamOptions
from completions_mw.schemas.request import ChatRequest
from completions_mw.schemas.response import (
    ChatCompletion,
    Choice,
    CompletionMessage,
    CompletionToolCall,
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
    "Embedding",
    "EmbeddingRequest",
    "EmbeddingResponse",
    "EmbeddingUsage",
    "Explanation",
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
