"""Answers that OpenAI-compatible servers were seen to give, each with what must become of it; one file for each kind of difference."""

from typing import Final

from tests.upstreams.cases import errors, finish_reasons, framing, members, texts, tool_calls, usage, whole_answers
from tests.upstreams.cases.wire import Case

CASES: Final[tuple[Case, ...]] = (
    *errors.CASES,
    *finish_reasons.CASES,
    *framing.CASES,
    *members.CASES,
    *texts.CASES,
    *tool_calls.CASES,
    *usage.CASES,
    *whole_answers.CASES,
)
