"""Values of vendors that the settings forward reach every wire format unvalidated: it sends them, or refuses the request."""

from contextlib import suppress
from typing import Any

import pytest

from completions_mw.core.validation.request import validate
from completions_mw.core.validation.vendor_params import ParamPolicy
from completions_mw.errors import InvalidRequestError
from tests.providers.corpus import FORMATS
from tests.providers.corpus.case import case
from tests.providers.corpus.replay import upstream

USER = {"role": "user", "content": "hi"}
CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}
CUSTOM_CALL = {"id": "a", "type": "custom", "custom": {"name": "f", "input": ""}, "function": []}
PARTS: list[dict[str, Any]] = [
    {"type": "video_url"},
    {"type": "video_url", "text": {}},
    {"type": "video_url", "refusal": [1]},
    {"type": "x", "prompt_cache_breakpoint": 5},
]
ROLES = ("system", "developer", "assistant", "user")
MESSAGES: list[Any] = [
    *[[{"role": role, "content": [part]}, USER] for part in PARTS for role in ROLES],
    *[[USER, {"role": "assistant", "tool_calls": [CALL]}, {"role": "tool", "tool_call_id": "a", "content": [part]}] for part in PARTS],
    [{"role": "system", "content": PARTS}],
    [{"role": "assistant", "tool_calls": [CUSTOM_CALL]}, {"role": "tool", "tool_call_id": "a", "content": ""}],
]


@pytest.mark.parametrize("api", FORMATS)
def test_parts_of_other_types(api: str) -> None:
    made = upstream(FORMATS[api])
    for messages in MESSAGES:
        fields = validate({"model": "m", "messages": messages}, policy=ParamPolicy("forward")).fields
        with suppress(InvalidRequestError):
            made.wire_format.build_request(made.endpoint, made.capabilities, case(api, "plain").model, fields, 100)
