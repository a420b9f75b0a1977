"""FAULTS section C: what an upstream can do wrong, plain and streamed, in both gateways."""

import logging

import pytest
from pydantic_core import from_json

from tests.faults.conftest import KEY, UPSTREAM_KEY, AsyncClient, BlockingClient, Client, settings_for
from tests.support.upstream import MockUpstream

TEXT = "one two three"


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("model", ["ok", "alias", "nousage", "quirks-llama", "quirks-finish-with-content", "u2028", "usage-every-chunk"])
def test_a_complete_answer(client: Client, model: str, stream: bool) -> None:
    answer = client.post(model, stream=stream)
    assert answer.status == 200
    assert answer.text.strip().startswith(TEXT) or model == "u2028"
    if stream:
        assert answer.is_complete


@pytest.mark.parametrize(
    "model", ["bom", "crlf", "cr", "nospace", "multiline", "comments", "bytewise", "packed", "quirks-ollama", "nodone"]
)
def test_every_spelling_of_a_stream_gives_the_same_text(client: Client, model: str) -> None:
    """FC-50, FC-52."""
    answer = client.post(model, stream=True)
    assert (answer.status, answer.text, answer.is_complete) == (200, TEXT, True)


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("trunc", "upstream_incomplete"),
        ("cut", "upstream_disconnected"),
        ("rst", "upstream_disconnected"),
        ("badjson", "upstream_protocol_error"),
        ("badutf8", "upstream_protocol_error"),
        ("nonobject", "upstream_protocol_error"),
        ("hugeline", "upstream_too_large"),
        ("endless", "upstream_too_large"),
        ("tiny-flood", "upstream_too_large"),
        ("hugebody", "upstream_too_large"),
        ("stall", "upstream_timeout"),
        ("vllmerror", "500"),
        ("stringerror", "upstream_error"),
        ("namederror", "upstream_error"),
    ],
)
def test_a_broken_stream_ends_with_an_error_and_without_done(client: Client, upstream: MockUpstream, model: str, code: str) -> None:
    """FC-48, FC-49, FC-51, FC-53 to FC-56."""
    answer = client.post(model, stream=True)
    if answer.status == 200:
        assert b"[DONE]" not in answer.body
    assert answer.error["code"] == code
    assert set(answer.error) == {"message", "type", "param", "code"}
    upstream.wait_for(lambda: upstream.active_requests == 0)


@pytest.mark.parametrize("kind", [BlockingClient, AsyncClient], ids=["blocking", "async"])
def test_an_answer_has_a_total_deadline(kind: type[BlockingClient] | type[AsyncClient], upstream: MockUpstream) -> None:
    """FC-55: ten bytes a second are no silence."""
    client = kind(settings_for(upstream, timeouts={"total": 0.4}))
    assert client.post("drip", stream=True).error["code"] == "upstream_timeout"
    upstream.wait_closed()
    client.close()


def test_an_error_event_of_the_upstream_is_normalised(client: Client) -> None:
    """FC-56."""
    answer = client.post("errorevent", stream=True)
    assert answer.status == 200
    assert set(answer.error) == {"message", "type", "param", "code"}
    assert answer.error["message"]
    assert not answer.is_complete


def test_a_failure_of_the_first_event_is_an_http_error(client: Client) -> None:
    answer = client.post("firsterror", stream=True)
    assert answer.status == 502
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("gzip", 502, "upstream_protocol_error"),
        ("bomb", 502, "upstream_protocol_error"),
        ("html", 502, "upstream_protocol_error"),
        ("empty200", 502, "upstream_protocol_error"),
        ("nocontent", 502, "upstream_error"),
        ("redirect", 502, "upstream_error"),
        ("flood1xx", 502, "upstream_protocol_error"),
        ("bigheader", 502, "upstream_protocol_error"),
        ("ttfb", 504, "upstream_timeout"),
    ],
)
def test_an_answer_that_cannot_be_used(client: Client, upstream: MockUpstream, model: str, status: int, code: str, stream: bool) -> None:
    """FC-43, FC-58, FC-59. A redirect is an answer like any other: it is never followed."""
    answer = client.post(model, stream=stream)
    assert (answer.status, answer.error["code"]) in {(status, code), (502, "upstream_incomplete")}
    assert len(upstream.requests) == 1
    upstream.wait_for(lambda: upstream.active_requests == 0)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("model", ["trunc", "cut", "rst", "hugebody"])
def test_a_truncated_answer_is_never_a_success(client: Client, model: str, stream: bool) -> None:
    answer = client.post(model, stream=stream)
    assert answer.error["type"] == "server_error"
    assert stream or answer.status == 502


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 413, 422, 425, 429, 500, 502, 503, 504, 529])
def test_an_error_status(client: Client, upstream: MockUpstream, status: int) -> None:
    expected = {400: 400, 408: 504, 413: 413, 422: 400, 429: 429, 504: 504}
    answer = client.post(f"status-{status}")
    assert answer.status == expected.get(status, 502)
    assert len(upstream.requests) == 1


def test_a_stream_is_closed_at_once_after_done(client: Client, upstream: MockUpstream) -> None:
    """FC-57: the upstream keeps its body open; nobody waits for it."""
    answer = client.post("hang", stream=True)
    assert answer.is_complete
    upstream.wait_closed()


def test_a_silent_upstream_is_bridged_by_comments(client: Client) -> None:
    """FC-54."""
    body = client.post("stall", stream=True).body
    assert body.count(b": keep-alive\n\n") >= 3


def test_usage_is_asked_for_and_withheld(client: Client, upstream: MockUpstream) -> None:
    answer = client.post("ok", stream=True)
    assert from_json(upstream.requests[0].raw)["stream_options"] == {"include_usage": True}
    assert b"usage" not in answer.body


@pytest.mark.parametrize(
    "model", ["ok", "nousage", "usage-every-chunk", "badusage-negative", "badusage-string", "badusage-huge", "badusage-null"]
)
def test_usage_comes_when_it_is_asked_for(client: Client, model: str) -> None:
    """FC-82: what is no usage is replaced by an estimate."""
    answer = client.post(model, stream=True, stream_options={"include_usage": True})
    chunks = [from_json(event) for event in answer.events[:-1]]
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    assert chunks[-1]["choices"] == []
    assert all(0 <= chunks[-1]["usage"][name] < 1000 for name in ("prompt_tokens", "completion_tokens", "total_tokens"))


def test_an_alias_never_shows_what_stands_behind_it(client: Client) -> None:
    assert client.post("alias").json["model"] == "alias"
    assert {from_json(event)["model"] for event in client.post("alias", stream=True).events[:-1]} == {"alias"}


def test_an_answer_under_its_own_name_is_relayed_byte_for_byte(client: Client, upstream: MockUpstream) -> None:
    answer = client.post("ok")
    assert answer.json["model"] == "ok"
    assert answer.body.startswith(b'{"id": "chatcmpl-upstream"'), "json.dumps of the mock puts spaces where ours would not"


def test_the_upstreams_words_lose_our_secrets(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """FC-111."""
    with caplog.at_level(logging.DEBUG):
        answers = [client.post("status-401"), client.post("status-400"), client.post("errorevent", stream=True)]
    seen = b"".join(answer.body for answer in answers).decode() + caplog.text
    assert UPSTREAM_KEY not in seen
    assert KEY not in seen


def test_connections_are_reused(client: Client, upstream: MockUpstream) -> None:
    upstream.wait_for(lambda: upstream.active_connections == 0)
    before = upstream.connections
    for stream in (False, True, False, True):
        client.post("ok", stream=stream)
    assert upstream.connections == before + 1
