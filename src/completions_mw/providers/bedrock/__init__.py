"""The wire format of Amazon Bedrock: `Converse` and `ConverseStream`, which speak to the models of all vendors alike.

request.py     requests: instructions, tools, inference config
messages.py    messages as content blocks
models.py      parameters that the vendors' models take under names of their own
embeddings.py  embeddings, by `InvokeModel`
answer.py      whole answers, and usage
stream.py      streamed answers: the events of a message
frames.py      the binary frames in which these events come
errors.py      errors, in answers and in streams

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html. What is translated, and what is lost:
docs/providers/bedrock.md.
"""

from typing import Final

from completions_mw.providers.bedrock.answer import parse_completion
from completions_mw.providers.bedrock.errors import parse_error
from completions_mw.providers.bedrock.request import build_endpoint, build_request, capabilities_of
from completions_mw.providers.bedrock.stream import open_stream

__all__ = [
    "build_endpoint",
    "build_request",
    "capabilities_of",
    "open_stream",
    "parse_completion",
    "parse_error",
    "stream_content_type",
]

stream_content_type: Final = "application/vnd.amazon.eventstream"
