"""Validation of requests by OpenAI's rules, which are the same for all callers.

headers.py        the headers that are read, checked before the body
body.py           reading a body, and dropping the body of a request that is refused
body_room.py      the memory for bodies that are being received
json_body.py      fields within bounds, from a JSON body or from the arguments of a direct call
request.py        `validate`: from fields to a `Chat`
rules.py          rules over several fields
vendor_params.py  parameters that OpenAI's API does not have, and what happens to them
error_texts.py    OpenAI's error texts, as tables
"""

from completions_mw.core.validation.headers import RequestHeaders, parse_headers
from completions_mw.core.validation.request import Chat, validate

__all__ = ["Chat", "RequestHeaders", "parse_headers", "validate"]
