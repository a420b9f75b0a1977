import json
import logging
from typing import Any

import pytest

from completions_mw import Gateway, JsonFormatter, Request, Settings
from tests.faults.conftest import HEADERS, KEY, request
from tests.support.logs import line

TREE: dict[str, Any] = {
    "providers": {"local": {"api": "echo"}},
    "models": {"m": {"targets": ["local/m"]}},
    "keys": {"client": {"secret": KEY, "tenant": "acme"}},
}


WORDS = "the words of the exception"


def broken(_: object) -> str:
    raise ValueError(WORDS)


def gateway(*, debug: bool = False) -> Gateway:
    return Gateway(Settings(**TREE, debug=debug), models={"broken": broken})


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_the_access_line_says_who_and_how_much_but_not_what(caplog: pytest.LogCaptureFixture, stream: bool) -> None:
    with caplog.at_level(logging.INFO, "completions_mw.access"):
        response = gateway().handle(request("m", "secret words", stream=stream))
        if not isinstance(response.body, bytes):
            with response.body as body:
                list(body)
    [record] = caplog.records
    found = line(record)
    assert found.pop("ms") >= 0
    assert found == {
        "event": "request",
        "request_id": dict(response.headers)["x-request-id"],
        "status": 200,
        "caller": "client",
        "tenant": "acme",
        "model": "m",
        "target": "local/m",
        "stream": stream,
        "prompt_tokens": 2,
        "completion_tokens": 2,
    }


def test_a_refusal_has_its_access_line_too(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "completions_mw.access"):
        gateway().handle(Request("POST", "/api/v1/chat/completions", ()))
    assert line(caplog.records[0])["status"] == 401


@pytest.mark.parametrize("debug", [False, True])
def test_what_an_exception_says_is_logged_for_developers_only(caplog: pytest.LogCaptureFixture, debug: bool) -> None:
    response = gateway(debug=debug).handle(request("broken"))
    assert response.status == 500
    assert "broken" in caplog.text
    assert "ValueError" in caplog.text
    assert (WORDS in caplog.text) == debug
    assert b"words" not in (response.body if isinstance(response.body, bytes) else b"words")


def test_headers_of_the_request_are_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        gateway(debug=True).handle(request("broken"))
    assert not any(value in caplog.text for _, value in HEADERS[:1])


def test_a_line_of_json_says_when_it_was_written(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "completions_mw.access"):
        gateway().handle(request("m"))
    [record] = caplog.records
    record.created = 1796076463.0625
    assert json.loads(JsonFormatter().format(record))["time"] == "2026-11-30T22:07:43.062Z"
