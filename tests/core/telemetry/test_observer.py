"""The one seam at which logs, metrics and spans hang."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from completions_mw import Caller, Limits, Request, Response, UpstreamError
from completions_mw.blocking import run_sync
from completions_mw.core.telemetry.observer import ObservedRequest, Observer, Observers, Step
from completions_mw.core.telemetry.request_log import RequestLog
from tests.support.charging import Charging, read

CALLER = Caller("ada", limits=Limits(requests="10/minute"))
KEY = "sk-of-the-observed-client"
KEYS = {"client": {"secret": KEY}}


class Notes(Observer):
    """Writes down what it is told."""

    def __init__(self, *, observes_steps: bool = True) -> None:
        self.observes_steps = observes_steps
        self.told: list[tuple[str, Step, str | None]] = []

    def started(self, step: Step, request: ObservedRequest) -> None:
        self.told.append(("started", step, request.target))

    def completed(self, step: Step, request: ObservedRequest) -> None:
        self.told.append(("completed", step, request.target))

    def failed(self, step: Step, request: ObservedRequest, error: BaseException) -> None:
        self.told.append((type(error).__name__, step, request.target))


def words(_: object) -> Iterator[str]:
    yield "one "
    yield "two"


def broken(_: object) -> Iterator[str]:
    raise UpstreamError("There is no answer.")
    yield ""


def steps(*names: Step) -> list[tuple[str, Step]]:
    return [(kind, name) for name in names for kind in ("started", "completed")]


def test_every_step_of_a_request_is_told_in_its_order() -> None:
    notes = Notes()
    Charging(words, observer=notes).complete(CALLER)
    assert [one[:2] for one in notes.told] == [
        ("started", "request"),
        *steps("admit", "dispatch", "settle"),
        ("completed", "request"),
    ]
    assert notes.told[-1][2] == "python/m"


def test_a_streamed_request_completes_with_its_stream() -> None:
    notes = Notes()
    stream = Charging(words, observer=notes).stream(CALLER)
    assert [one[:2] for one in notes.told] == [("started", "request"), *steps("admit", "dispatch")]
    read(stream)
    assert [one[:2] for one in notes.told[-3:]] == [("completed", "request"), *steps("settle")]


def test_a_step_that_fails_says_so_and_the_request_with_it() -> None:
    notes = Notes()
    with pytest.raises(UpstreamError):
        Charging(broken, observer=notes).complete(CALLER)
    assert [one for one in notes.told if one[0] == "UpstreamError"] == [
        ("UpstreamError", "target", "python/m"),
        ("UpstreamError", "dispatch", "python/m"),
        ("UpstreamError", "request", "python/m"),
    ]


def ask_by_http(charging: Charging, **fields: Any) -> Response[Any]:
    headers = (("authorization", f"Bearer {KEY}"), ("content-type", "application/json"))
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}).encode()
    return run_sync(charging.pipeline.handle(Request("POST", "/api/v1/chat/completions", headers, body)))


def test_a_request_of_http_is_told_from_its_key_on() -> None:
    notes = Notes()
    assert ask_by_http(Charging(words, observer=notes, keys=KEYS)).status == 200
    assert [one[:2] for one in notes.told] == [
        ("started", "request"),
        *steps("authenticate", "parse", "admit", "dispatch", "settle"),
        ("completed", "request"),
    ]


def test_a_client_that_does_not_read_is_no_failure_of_its_target() -> None:
    notes = Notes()
    charging = Charging(words, observer=notes, keys=KEYS, send_timeout=5)
    body: Any = ask_by_http(charging, stream=True).body
    run_sync(body.__anext__())
    charging.tick(5)
    assert [one[1] for one in notes.told if one[0] == "RequestTimeoutError"] == ["request"]


def test_steps_cost_nothing_where_nobody_wants_to_know_of_them() -> None:
    async def step(request: ObservedRequest) -> None: ...

    assert RequestLog().around("admit", step) is step
    assert Notes().around("admit", step) is not step
    notes = Notes(observes_steps=False)
    Charging(words, observer=notes).complete(CALLER)
    assert [one[:2] for one in notes.told] == [("completed", "request")]


def test_several_observers_are_told_the_same() -> None:
    first, second = Notes(), Notes(observes_steps=False)
    both: Any = Observers(first, second)
    assert both.observes_steps
    Charging(words, observer=both).complete(CALLER)
    assert [one[:2] for one in first.told] == [one[:2] for one in second.told]
