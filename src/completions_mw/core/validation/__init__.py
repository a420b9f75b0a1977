"""Validation of requests by OpenAI's rules, which are the same for all callers.

headers.py        the headers that are read, checked before the body
body.py           checking that a body is whole, and dropping the body of a request that is refused
body_room.py      the memory for bodies that are being received
json_body.py      fields within bounds, from a JSON body or from the arguments of a direct call
valid_request.py  `ValidRequest`: what the pipeline knows of a request of any kind
request.py        `validate`: from the fields of a chat request to a `Chat`
embeddings.py     `validate_embeddings`: from the fields of an embeddings request to an `Embed`
rules.py          rules over several fields
vendor_params.py  parameters that OpenAI's API does not have, and what happens to them
checking.py       checks fields against a schema, and chooses the fault that is reported
faults.py         the order in which faults are reported
error_texts.py    OpenAI's error texts, as tables
"""

from completions_mw.core.validation.embeddings import Embed, validate_embeddings
from completions_mw.core.validation.headers import RequestHeaders, parse_headers
from completions_mw.core.validation.request import Chat, validate
from completions_mw.core.validation.valid_request import ValidRequest

__all__ = ["Chat", "Embed", "RequestHeaders", "ValidRequest", "parse_headers", "validate", "validate_embeddings"]
