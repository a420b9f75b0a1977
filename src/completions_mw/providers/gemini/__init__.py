"""The wire format of Google's Gemini API: `generateContent` and `streamGenerateContent`.

request.py     requests: instructions, tools, generation config
messages.py    messages as contents
thinking.py    how much a model thinks, and the signatures of its thoughts
answer.py      candidates of an answer, whole or streamed, and its usage
embeddings.py  embeddings, by `batchEmbedContents`
logprobs.py    log probabilities of tokens
stream.py      streamed answers: server-sent events
errors.py      errors: `google.rpc.Status`

Source: https://ai.google.dev/api/generate-content. What is translated, and what is lost: docs/providers/gemini.md.
"""

from typing import Final

from completions_mw.providers.gemini.answer import parse_completion
from completions_mw.providers.gemini.errors import parse_error
from completions_mw.providers.gemini.request import build_endpoint, build_request, capabilities_of
from completions_mw.providers.gemini.stream import open_stream
from completions_mw.sse import EVENT_STREAM

__all__ = [
    "build_endpoint",
    "build_request",
    "capabilities_of",
    "open_stream",
    "parse_completion",
    "parse_error",
    "stream_content_type",
]

stream_content_type: Final = EVENT_STREAM
