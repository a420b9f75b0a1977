"""Calls of tools and their results must follow each other as docs/contract.md, Validation says."""

from typing import Any

import pytest

from completions_mw.core.validation.request import validate
from completions_mw.errors import InvalidRequestError
from tests.conformance.corpus import BASE, MESSAGES


def call(id: str) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}}


def answer_of(id: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": "42"}


ASKED = {"role": "assistant", "content": None, "tool_calls": [call("a"), call("b")]}


@pytest.mark.parametrize(
    "messages",
    [
        [ASKED, answer_of("a"), answer_of("b")],
        [ASKED, answer_of("b"), answer_of("a"), *MESSAGES],
        [*MESSAGES, ASKED, answer_of("a"), answer_of("b"), ASKED, answer_of("a"), answer_of("b")],
        [{"role": "assistant", "tool_calls": []}, *MESSAGES],
        [{"role": "assistant", "function_call": {"name": "f", "arguments": ""}}, {"role": "function", "name": "f", "content": None}],
    ],
    ids=["in-order", "out-of-order", "twice", "no-calls", "legacy"],
)
def test_calls_and_their_results_may_follow_each_other(messages: list[dict[str, Any]]) -> None:
    assert validate({**BASE, "messages": messages}).fields["messages"] is messages


@pytest.mark.parametrize(
    ("messages", "param", "message"),
    [
        pytest.param(
            [*MESSAGES * 3, answer_of("a")],
            "messages.[3].role",
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
            id="orphan",
        ),
        pytest.param(
            [ASKED, answer_of("a"), answer_of("b"), *MESSAGES, answer_of("a")],
            "messages.[4].role",
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
            id="late",
        ),
        pytest.param(
            [ASKED, answer_of("c")],
            "messages.[1].tool_call_id",
            "Invalid parameter: 'tool_call_id' was not found in 'tool_calls' of the previous message.",
            id="stranger",
        ),
        pytest.param(
            [*MESSAGES, ASKED, answer_of("a"), *MESSAGES],
            "messages.[1].role",
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'.",
            id="unanswered",
        ),
        pytest.param(
            [ASKED],
            "messages.[0].role",
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'.",
            id="unanswered-at-the-end",
        ),
    ],
)
def test_calls_and_their_results_out_of_sequence(messages: list[dict[str, Any]], param: str, message: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        validate({**BASE, "messages": messages})
    assert (caught.value.code, caught.value.param, caught.value.message) == (None, param, message)


def test_the_sequence_is_looked_at_last() -> None:
    with pytest.raises(InvalidRequestError, match="Supported values are: 'low'"):
        validate({**BASE, "messages": [ASKED], "verbosity": "bogus"})
