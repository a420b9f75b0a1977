"""What a client sees of targets that fail, and of its own deadline (docs/routing.md)."""

import json

import pytest

from tests.conformance.given import chat_body, post
from tests.hosts.base import Host

both_ways = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


@both_ways
def test_the_target_that_answered(host: Host, stream: bool) -> None:
    response = post(host, json.dumps(chat_body(model="chain", stream=stream)).encode())
    assert response.status == 200
    assert (response.headers["x-completions-target"], response.headers["x-completions-attempts"]) == ("up/ok", "2")


def test_one_target_and_one_attempt_are_not_worth_a_header(host: Host) -> None:
    response = post(host, json.dumps(chat_body()).encode())
    assert not {"x-completions-target", "x-completions-attempts"} & response.headers.keys()


@both_ways
@pytest.mark.usefixtures("upstream")
def test_a_deadline_of_the_client(host: Host, stream: bool) -> None:
    body = json.dumps(chat_body(model="ttfb", stream=stream)).encode()
    response = post(host, body, (("x-request-timeout-ms", "100"),))
    assert (response.status, response.error["code"]) == (504, "deadline_exceeded")


def test_a_deadline_that_is_none(host: Host) -> None:
    response = post(host, json.dumps(chat_body()).encode(), (("x-request-timeout-ms", "0"),))
    assert (response.status, response.error["code"]) == (400, "invalid_request_timeout")
