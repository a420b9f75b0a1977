"""What a request may take, guessed beforehand: never less than what the provider will bill, where money is at stake."""

from typing import Any

import pytest

from completions_mw.core.costs.media import rules_of
from completions_mw.core.costs.media.rules import LIKELY_TOKENS
from completions_mw.core.costs.tokens import MESSAGE_BYTES, TokenEstimate, estimate_request
from completions_mw.core.validation.request import validate
from completions_mw.core.validation.vendor_params import ParamPolicy

MOST = 100
EMPTY = MESSAGE_BYTES + len("user")
"""Bytes of a message that says nothing."""


def estimate(*contents: Any, **fields: Any) -> TokenEstimate:
    messages = [content if isinstance(content, dict) else {"role": "user", "content": content} for content in contents]
    return estimate_request(validate({"model": "m", "messages": messages, **fields}), MOST)


TOOL = {"type": "function", "function": {"name": "f", "description": "x" * 100}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 10_000}}
PROMPTS: dict[str, tuple[list[Any], dict[str, Any], int]] = {
    "empty": ([""], {}, EMPTY),
    "ascii": (["x" * 100], {}, EMPTY + 100),
    "utf-8": (["é€😀"], {}, EMPTY + 2 + 3 + 4),
    "two-messages": (["x", "yy"], {}, 2 * EMPTY + 3),
    "name": ([{"role": "user", "content": "x", "name": "ada"}], {}, EMPTY + 1 + 3),
    "no-content": ([{"role": "assistant", "content": None}], {}, MESSAGE_BYTES + len("assistant")),
    "parts": ([[{"type": "text", "text": "xx"}, {"type": "text", "text": "é"}]], {}, EMPTY + 4),
    "tools": (["x"], {"tools": [TOOL]}, EMPTY + 1 + len('[{"type":"function","function":{"name":"f","description":""}}]') + 100),
    "format": (["x"], {"response_format": {"type": "json_object"}}, EMPTY + 1 + len('{"type":"json_object"}')),
}
"""Messages, other fields, and the bytes of text."""


@pytest.mark.parametrize(("contents", "fields", "size"), PROMPTS.values(), ids=PROMPTS)
def test_a_prompt_has_no_more_tokens_than_bytes(contents: list[Any], fields: dict[str, Any], size: int) -> None:
    found = estimate(*contents, **fields)
    assert (found.prompt, found.prompt_bound) == (-(-size // 4), size)


def test_media_count_with_what_they_may_cost_at_the_dearest_model() -> None:
    audio = {"type": "input_audio", "input_audio": {"data": "AAAA" * 500, "format": "mp3"}}
    chat = validate({"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "what is this"}, IMAGE, audio]}]})
    found = estimate_request(chat, MOST, (rules_of("gpt-4o"), rules_of("gpt-4o-mini")))
    assert found.prompt_bound == EMPTY + len("what is this") + 2833 + 8 * 5667 + 2 * 10
    assert found.prompt == -(-(EMPTY + len("what is this")) // 4) + LIKELY_TOKENS + 2 * 10


def test_a_prompt_is_no_longer_than_the_context_of_its_model() -> None:
    chat = validate({"model": "m", "messages": [{"role": "user", "content": [IMAGE] * 100}]})
    assert estimate_request(chat, MOST, (rules_of("gpt-4o-mini"),)).prompt_bound == EMPTY + 128_000
    assert estimate_request(chat, MOST, (rules_of("gpt-4o"),)).prompt_bound == EMPTY + 128_000
    assert estimate_request(chat, MOST, (rules_of("o3"),)).prompt_bound == EMPTY + 100 * (75 + 8 * 150)


def test_text_that_is_no_plain_content_counts() -> None:
    refusal = {"role": "assistant", "content": [{"type": "refusal", "refusal": "x" * 1000}]}
    assert estimate("hi", refusal, "again").prompt_bound > 1000
    assert estimate("hi", prediction={"type": "content", "content": "x" * 1000}).prompt_bound > 1000


def test_a_file_may_fill_the_context() -> None:
    """Its text is compressed, so that its bytes are no bound."""
    chat = validate(
        {"model": "m", "messages": [{"role": "user", "content": [{"type": "file", "file": {"file_data": "x", "filename": "a.pdf"}}]}]}
    )
    found = estimate_request(chat, MOST, (rules_of("gpt-4o"),))
    assert (found.prompt_bound, found.prompt) == (EMPTY + 128_000, -(-EMPTY // 4) + LIKELY_TOKENS)
    assert estimate_request(chat, MOST, (rules_of("gpt-4o", file_tokens=500),)).prompt_bound == EMPTY + 500


def test_the_calls_of_an_assistant_count() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "x" * 1000}}
    assistant = {"role": "assistant", "content": None, "tool_calls": [call]}
    answer = {"role": "tool", "content": "done", "tool_call_id": "call_1"}
    assert estimate("hi", assistant, answer).prompt_bound > 1000


def test_fields_that_are_only_forwarded_count() -> None:
    """What vLLM calls `documents` becomes a part of the prompt."""
    fields = {"model": "m", "messages": [{"role": "user", "content": "x"}], "documents": [{"title": "é", "text": "x" * 1000}], "none": None}
    size = EMPTY + 1 + len('{"documents":[{"title":"","text":""}]}') + 2 + 1000
    forwarded = estimate_request(validate(fields, policy=ParamPolicy("forward")), MOST)
    assert (forwarded.prompt, forwarded.prompt_bound) == (-(-size // 4), size)
    assert estimate_request(validate(fields, policy=ParamPolicy("ignore")), MOST).prompt_bound == EMPTY + 1


OUTPUTS: dict[str, tuple[dict[str, Any], int, bool]] = {
    "none": ({}, MOST, False),
    "old-name": ({"max_tokens": 7}, 7, True),
    "new-name": ({"max_completion_tokens": 8}, 8, True),
    "both": ({"max_tokens": 7, "max_completion_tokens": 8}, 8, True),
    "choices": ({"max_tokens": 7, "n": 3}, 21, True),
    "choices-without-maximum": ({"n": 3}, 3 * MOST, False),
    "null": ({"max_tokens": None, "n": None}, MOST, False),
}
"""Fields, the maximum of all choices together, and whether the request sets it."""


@pytest.mark.parametrize(("fields", "completion", "client_set_max"), OUTPUTS.values(), ids=OUTPUTS)
def test_the_maximum_of_all_choices(fields: dict[str, Any], completion: int, client_set_max: bool) -> None:
    found = estimate("x", **fields)
    assert (found.completion, found.per_choice * (fields.get("n") or 1), found.client_set_max) == (completion, completion, client_set_max)


def test_half_a_character_is_counted() -> None:
    """A direct call may have one; it is refused elsewhere, and no fault of ours here."""
    chat = validate({"model": "m", "messages": [{"role": "user", "content": "x"}]})
    chat.fields["messages"] = [{"role": "user", "content": "\ud800"}]
    assert estimate_request(chat, MOST).prompt_bound == EMPTY + 3
