"""Whatever is sent is taken or refused in a few words, and every answer may be sent back (docs/contract.md, Validation)."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionMessage

from completions_mw.core.validation.json_body import Bounds, normalise, parse_json_body
from completions_mw.core.validation.request import Chat, validate
from completions_mw.errors import InvalidRequestError, error_response
from completions_mw.schemas import ChatCompletion
from tests.conformance.corpus import BASE, MESSAGES, OPTIONAL_FIELDS

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
WORDS = st.sampled_from(
    ["type", "text", "role", "user", "tool", "function", "name", "content", "image_url", "custom", "[key]", "json_schema", "schema"]
)
LIKELY: st.SearchStrategy[Any] = st.recursive(
    WORDS | JSON,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "system", "assistant", "tool", "developer", "function"])},
    optional={"content": LIKELY, "tool_calls": LIKELY, "tool_call_id": st.text(), "audio": LIKELY, "function_call": LIKELY},
)
ANY_MESSAGES = st.lists(MESSAGE, max_size=3) | LIKELY
FIELDS = st.dictionaries(st.sampled_from(OPTIONAL_FIELDS) | st.text(max_size=4), LIKELY, max_size=3)


def outcome(fields: dict[str, Any]) -> Chat | InvalidRequestError:
    try:
        return validate(parse_json_body(json.dumps(fields).encode(), Bounds()))
    except InvalidRequestError as error:
        return error


@settings(deadline=None)
@given(fields=FIELDS, messages=ANY_MESSAGES, model=st.just("m") | JSON)
def test_any_request_is_taken_or_refused_in_a_few_words(fields: dict[str, Any], messages: Any, model: Any) -> None:
    sent = {**fields, "messages": messages, "model": model}
    result = outcome(sent)
    if isinstance(result, InvalidRequestError):
        assert len(error_response(result).body) <= 4096
    else:
        assert result.fields == {name: value for name, value in sent.items() if value is not None}


@settings(deadline=None)
@given(field=st.sampled_from(OPTIONAL_FIELDS), value=LIKELY)
def test_any_value_of_any_field_is_taken_or_blamed(field: str, value: Any) -> None:
    result = outcome({**BASE, field: value})
    if isinstance(result, InvalidRequestError):
        assert result.param is not None
        assert result.param.startswith(field) or (field, result.param) == ("modalities", "audio")


FUNCTION_CALL = st.fixed_dictionaries({"name": st.text(), "arguments": st.text()})
TOOL_CALL = st.fixed_dictionaries({"id": st.text(), "type": st.just("function"), "function": FUNCTION_CALL}) | st.fixed_dictionaries(
    {"id": st.text(), "type": st.just("custom"), "custom": st.fixed_dictionaries({"name": st.text(), "input": st.text()})}
)
CITATION = st.fixed_dictionaries({"start_index": st.integers(), "end_index": st.integers(), "url": st.text(), "title": st.text()})
ANSWER = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": st.none() | st.text(), "refusal": st.none() | st.text()},
    optional={
        "annotations": st.lists(st.fixed_dictionaries({"type": st.just("url_citation"), "url_citation": CITATION})),
        "audio": st.none()
        | st.fixed_dictionaries({"id": st.text(), "data": st.text(), "expires_at": st.integers(), "transcript": st.text()}),
        "function_call": st.none() | FUNCTION_CALL,
        "tool_calls": st.lists(TOOL_CALL),
        "reasoning_content": st.text(),
    },
)


@settings(deadline=None)
@given(ANSWER)
def test_an_answer_is_accepted_as_a_message_of_the_next_request(answer: dict[str, Any]) -> None:
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "42"} for call in answer.get("tool_calls", [])]
    for echo in (answer, ChatCompletionMessage.model_validate(answer).model_dump()):
        validate({**BASE, "messages": [*MESSAGES, echo, *results, *MESSAGES]})
    typed = ChatCompletion.model_validate(
        {"id": "x", "created": 1, "model": "m", "choices": [{"index": 0, "message": answer, "finish_reason": "stop"}]}
    )
    validate(normalise({**BASE, "messages": [typed.choices[0].message, *results]}))
    validate({**BASE, "messages": [typed.choices[0].message.model_dump(), *results]})
