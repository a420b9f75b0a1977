"""The wire format of OpenAI's chat completions API, which every compatible server speaks too.

request.py     requests: as they were validated, but for what a server does not take
answer.py      whole answers and chunks: relayed as they were received, unless they are wrong
stream.py      streamed answers: server-sent events
embeddings.py  embeddings

Source: OpenAI's API reference, https://platform.openai.com/docs/api-reference/chat. See also docs/contract.md, Requests and Streams.
"""

from typing import Final

from completions_mw.providers.client_errors import parse_error
from completions_mw.providers.openai.answer import parse_completion
from completions_mw.providers.openai.request import build_endpoint, build_request, capabilities_of
from completions_mw.providers.openai.stream import open_stream
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
