"""The wire format of Anthropic's Messages API, https://platform.claude.com/docs/en/api/messages (docs/providers/anthropic.md).

request.py    a request: its endpoint, what the API supports, and the parameters
messages.py   the messages of a request: instructions, turns, and the blocks of their content
tools.py      the tools of a request, and the choice between them
schemas.py    the schema of an answer
thinking.py   how much a model thinks
answer.py     a whole answer; usage and finish reasons
stream.py     a streamed answer
errors.py     errors, refusals and overload
"""

from typing import Final

from completions_mw.providers.anthropic.answer import parse_completion
from completions_mw.providers.anthropic.errors import parse_error
from completions_mw.providers.anthropic.request import build_endpoint, build_request, capabilities_of
from completions_mw.providers.anthropic.stream import open_stream
from completions_mw.sse import EVENT_STREAM

__all__ = ["build_endpoint", "build_request", "capabilities_of", "open_stream", "parse_completion", "parse_error", "stream_content_type"]

stream_content_type: Final = EVENT_STREAM
