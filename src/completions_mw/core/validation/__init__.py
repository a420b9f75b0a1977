"""Is this a request that OpenAI would take? Nothing here looks at who is calling.

headers.py        the headers that are read, checked before the body
json_body.py      from bytes to a JSON object within bounds
request.py        from a JSON object to a validated chat request
message_order.py  tool results follow the calls that they answer
error_texts.py    OpenAI's error texts, as tables
"""

from completions_mw.core.validation.headers import (
    RequestHeaders,
    body_too_large_error,
    parse_headers,
    require_json,
    require_length,
    require_whole,
)
from completions_mw.core.validation.request import Chat, validate

__all__ = [
    "Chat",
    "RequestHeaders",
    "body_too_large_error",
    "parse_headers",
    "require_json",
    "require_length",
    "require_whole",
    "validate",
]
