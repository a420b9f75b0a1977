"""Streamed answers: their grammar, their failures, and what happens when the client leaves (docs/contract.md, Streams)."""

import json
from typing import Any

import pytest

from tests.conformance.given import JSON, KEY, chat_body, post
from tests.hosts.base import CHAT, Host, HostResponse, bearer
from tests.hosts.every import only_async
from tests.support.asgi_driver import ASGIAnswer
from tests.support.grammar import check_failed_stream, check_stream, is_keep_alive
from tests.support.upstream import MockUpstream

USAGE = {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}
STREAM_HEADERS = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache, no-transform", "x-accel-buffering": "no"}
HEADERS = (*bearer(KEY), *JSON)

every_source = pytest.mark.parametrize("model", ["m", "ok"], ids=["in-process", "upstream"])


def body_of(**fields: Any) -> bytes:
    return json.dumps(chat_body(stream=True, **fields)).encode()


def stream(host: Host, **fields: Any) -> HostResponse:
    return post(host, body_of(**fields))


@every_source
def test_a_stream_says_what_the_whole_answer_says(host: Host, upstream: MockUpstream, model: str) -> None:
    response = stream(host, model=model)
    assert response.status == 200
    assert {name: response.headers[name] for name in STREAM_HEADERS} == STREAM_HEADERS
    assert "content-length" not in response.headers
    streamed = check_stream(response.body)
    assert (streamed.texts, streamed.finish_reasons) == ({0: "one two three"}, {0: "stop"})
    whole = post(host, json.dumps(chat_body(model=model)).encode()).json()
    assert whole["choices"][0]["message"]["content"] == "one two three"
    assert whole["usage"] == USAGE
    assert {chunk["model"] for chunk in streamed.chunks} == {model}


@every_source
def test_usage_comes_last_where_it_was_asked_for(host: Host, upstream: MockUpstream, model: str) -> None:
    response = stream(host, model=model, stream_options={"include_usage": True})
    assert check_stream(response.body, include_usage=True).usage == USAGE


@every_source
def test_usage_does_not_come_unasked(host: Host, upstream: MockUpstream, model: str) -> None:
    check_stream(stream(host, model=model, stream_options={"include_usage": False}).body)


@every_source
def test_choices_each_begin_and_end(host: Host, upstream: MockUpstream, model: str) -> None:
    streamed = check_stream(stream(host, model=model, n=3).body)
    assert streamed.finish_reasons == {0: "stop", 1: "stop", 2: "stop"}


def test_pieces_arrive_while_the_answer_is_being_made(host: Host, upstream: MockUpstream) -> None:
    with host.stream("POST", CHAT, HEADERS, body_of(model="stall-2")) as answer:
        assert answer.status == 200
        arrived = next(answer)
        assert upstream.active_requests == 1
        upstream.release()
        check_stream(arrived + b"".join(answer))


def test_a_silent_stream_is_kept_alive(host: Host, upstream: MockUpstream) -> None:
    with host.stream("POST", CHAT, HEADERS, body_of(model="stall-2")) as answer:
        arrived = [next(answer)]
        while not is_keep_alive(arrived[-1]):
            arrived.append(next(answer))
        upstream.release()
        check_stream(b"".join(arrived) + b"".join(answer))


def test_a_failure_before_the_first_event_has_a_status(host: Host, upstream: MockUpstream) -> None:
    response = stream(host, model="firsterror")
    assert response.status == 502
    assert response.headers["content-type"] == "application/json"


def test_a_failure_in_the_middle_is_the_last_event(host: Host, upstream: MockUpstream) -> None:
    response = stream(host, model="errorevent")
    assert response.status == 200
    assert check_failed_stream(response.body)["code"] == "overloaded"


def test_an_answer_that_was_cut_short_is_a_failure(host: Host, upstream: MockUpstream) -> None:
    assert check_failed_stream(stream(host, model="trunc").body)["code"] == "upstream_incomplete"


def test_an_answer_ends_with_its_last_event_though_the_upstream_holds_on(host: Host, upstream: MockUpstream) -> None:
    check_stream(stream(host, model="hang").body)


def test_a_client_that_leaves_between_pieces_stops_the_upstream(host: Host, upstream: MockUpstream) -> None:
    with host.stream("POST", CHAT, HEADERS, body_of(model="endless")) as answer:
        next(answer)
    assert upstream.wait_closed().request.model == "endless"


def test_a_client_that_leaves_a_silent_stream_stops_the_upstream(host: Host, upstream: MockUpstream) -> None:
    with host.stream("POST", CHAT, HEADERS, body_of(model="stall-2")) as answer:
        next(answer)
    assert upstream.wait_closed().request.model == "stall-2"


@only_async
def test_a_client_that_leaves_after_it_stopped_reading_stops_the_upstream(host: Host, upstream: MockUpstream) -> None:
    with host.stream("POST", CHAT, HEADERS, body_of(model="endless")) as answer:
        assert isinstance(answer, ASGIAnswer)
        assert answer.blocked.wait(10)
    assert upstream.wait_closed().request.model == "endless"


def test_a_client_that_leaves_before_it_reads_stops_the_upstream(host: Host, upstream: MockUpstream) -> None:
    with host.stream("POST", CHAT, HEADERS, body_of(model="stall-2")) as answer:
        assert answer.status == 200
    assert upstream.wait_closed().request.model == "stall-2"


@only_async
@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "json"])
def test_a_client_that_leaves_before_the_answer_begins_stops_the_upstream(host: Host, upstream: MockUpstream, streamed: bool) -> None:
    with host.stream("POST", CHAT, HEADERS, json.dumps(chat_body(model="ttfb", stream=streamed)).encode()):
        upstream.wait_for(lambda: upstream.active_requests == 1)
    assert upstream.wait_closed().request.model == "ttfb"


@only_async
@pytest.mark.parametrize("pieces", [[], [b'{"model": '], [b'{"model": ', b'"ok"']], ids=["nothing", "one-piece", "two-pieces"])
def test_a_client_that_leaves_within_its_body_is_no_fault_of_ours(
    host: Host, upstream: MockUpstream, caplog: pytest.LogCaptureFixture, pieces: list[bytes]
) -> None:
    with host.stream("POST", CHAT, HEADERS, pieces, complete=False):
        assert upstream.requests == []
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    assert upstream.requests == []
