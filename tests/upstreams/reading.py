"""What a client has read: in one form for all clients, so that it is compared with a case in one place."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from completions_mw import GatewayError
from tests.upstreams.cases.wire import SAID, UPSTREAM_KEY, Case, Expected, Failed

MINUTE = 60


@dataclass(frozen=True, slots=True)
class Answered:
    """A complete answer; of its first choice."""

    text: str
    finish_reason: str | None
    calls: tuple[tuple[str, Any], ...] = ()
    usage: tuple[int, int] | None = None
    """Prompt and completion tokens that the client was told."""
    whole: str = ""
    """All that the client has, as JSON."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An error, before an answer or in it."""

    message: str
    status: int | None = None
    """Status of the response; None for an error event."""
    code: str | None = None
    headers: Mapping[str, str] | None = None
    """None where the client does not show them."""
    whole: str = ""


Reading = Answered | Refused


class Charged(NamedTuple):
    """What the ledger has of a request."""

    prompt: int
    completion: int
    is_estimated: bool


def refused(error: GatewayError) -> Refused:
    """Return the reading of a direct call that failed."""
    return Refused(error.message, error.status, error.code, dict(error.headers), repr(error))


def answered(choice: Mapping[str, Any], usage: Mapping[str, Any] | None, whole: Any) -> Answered:
    """Return the reading of a whole message."""
    message = choice["message"]
    calls = tuple((call["function"]["name"], json.loads(call["function"]["arguments"])) for call in message.get("tool_calls") or ())
    counts = None if usage is None else (usage["prompt_tokens"], usage["completion_tokens"])
    return Answered(message.get("content") or "", choice["finish_reason"], calls, counts, json.dumps(whole, ensure_ascii=False))


def compare(case: Case, reading: Reading, charged: Charged | None) -> None:
    """Check that a client has read, and is charged for, what the case expects.

    Args:
        case: the case.
        reading: what the client has read.
        charged: what the ledger has; None if that is not known.
    """
    assert UPSTREAM_KEY not in f"{reading}"
    if isinstance(reading, Refused):
        assert isinstance(case.expected, Failed) or case.or_error, reading
        if isinstance(case.expected, Failed):
            _compare_error(case.expected, reading)
        return
    assert isinstance(case.expected, Expected), reading
    _compare_answer(case.expected, reading)
    if charged is not None:
        _compare_charge(case.expected, charged)


def _compare_answer(expected: Expected, reading: Answered) -> None:
    texts = expected.text if isinstance(expected.text, tuple) else (expected.text or "",)
    assert reading.text in texts
    if expected.finish_reason is not None:
        assert reading.finish_reason == expected.finish_reason
    assert reading.calls == expected.calls
    assert [text for text in expected.kept if text not in reading.whole] == []
    if expected.usage is not None and reading.usage is not None:
        assert reading.usage == expected.usage


def _compare_charge(expected: Expected, charged: Charged) -> None:
    if expected.usage is not None:
        assert charged == (*expected.usage, False)
    else:
        assert charged.is_estimated
        assert charged.prompt > 0
        assert charged.completion >= max(expected.at_least, len(SAID) // 4)


def _compare_error(expected: Failed, reading: Refused) -> None:
    assert expected.message in reading.message
    assert "{'" not in reading.message
    if expected.status is not None:
        assert reading.status == expected.status
    if expected.code is not None:
        assert reading.code == expected.code
    if expected.retry is None or reading.headers is None:
        return
    seconds = reading.headers.get("retry-after")
    is_final = reading.headers.get("x-should-retry") == "false"
    if expected.retry == "never":
        assert is_final
    elif expected.retry == "capped":
        assert is_final or seconds is None or 0 < float(seconds) <= MINUTE
    else:
        assert seconds is not None
        assert float(seconds) <= expected.retry
