"""What an upstream can do wrong, plain and streamed, in both gateways (docs/promises.md, Streams and truncation)."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic_core import from_json

from completions_mw.core.ports import UsageRow
from tests.faults.conftest import KEY, SLOW, UPSTREAM_KEY, AsyncClient, BlockingClient, Client, every_transport, settings_for
from tests.support.logs import line
from tests.support.upstream import MockUpstream
from tests.support.upstream_exchange import RequestContext

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
    """See docs/promises.md, Streams and truncation."""
    answer = client.post(model, stream=True)
    assert (answer.status, answer.text, answer.is_complete) == (200, TEXT, True)


@every_transport
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
    """See docs/promises.md, Streams and truncation."""
    answer = client.post(model, stream=True)
    if answer.status == 200:
        assert b"[DONE]" not in answer.body
    assert answer.error["code"] == code
    assert set(answer.error) == {"message", "type", "param", "code"}
    upstream.wait_for(lambda: upstream.active_requests == 0)


@every_transport
@pytest.mark.parametrize("kind", [BlockingClient, AsyncClient], ids=["blocking", "async"])
def test_an_answer_has_a_total_deadline(kind: type[BlockingClient] | type[AsyncClient], transport: str, upstream: MockUpstream) -> None:
    """Ten bytes a second are no silence (docs/promises.md, Streams and truncation)."""
    client = kind(settings_for(upstream, timeouts={"total": 0.4}, transport=transport))
    assert client.post("drip", stream=True).error["code"] == "upstream_timeout"
    upstream.wait_closed()
    client.close()


@every_transport
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
    """See docs/promises.md, Targets and fallback. A redirect is an answer like any other: it is never followed."""
    answer = client.post(model, stream=stream)
    assert (answer.status, answer.error["code"]) in {(status, code), (502, "upstream_incomplete")}
    assert len(upstream.requests) == 1
    upstream.wait_for(lambda: upstream.active_requests == 0)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 413, 422, 425, 429, 500, 502, 503, 504, 529])
def test_an_error_status(client: Client, upstream: MockUpstream, caplog: pytest.LogCaptureFixture, status: int) -> None:
    expected = {400: 400, 408: 504, 413: 413, 422: 400, 429: 429, 504: 504, 529: 503}
    answer = client.post(f"status-{status}")
    assert answer.status == expected.get(status, 502)
    assert answer.headers["x-completions-error-source"] == "upstream"
    assert len(upstream.requests) == 1
    [record] = [record for record in caplog.records if record.getMessage() == "upstream_failed"]
    assert (line(record)["upstream_status"], record.levelname) == (status, "ERROR" if status in (401, 403) else "WARNING")


@every_transport
def test_a_stream_is_closed_at_once_after_done(client: Client, upstream: MockUpstream) -> None:
    """The upstream keeps its body open; nobody waits for it (docs/promises.md, Streams and truncation)."""
    answer = client.post("hang", stream=True)
    assert answer.is_complete
    upstream.wait_closed()


def test_an_alias_never_shows_what_stands_behind_it(client: Client) -> None:
    assert client.post("alias").json["model"] == "alias"
    assert {from_json(event)["model"] for event in client.post("alias", stream=True).events[:-1]} == {"alias"}


@every_transport
def test_an_answer_under_its_own_name_is_relayed_byte_for_byte(client: Client, upstream: MockUpstream) -> None:
    answer = client.post("ok")
    assert answer.json["model"] == "ok"
    assert answer.body.startswith(b'{"id": "chatcmpl-upstream"'), "json.dumps of the mock puts spaces where ours would not"


@every_transport
def test_the_upstreams_words_lose_our_secrets(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """See docs/promises.md, Secrets."""
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


PROMPT = 9
"""Tokens of the prompt, as estimated."""
MOST = 10
"""Tokens that an answer may have."""
EitherClient = BlockingClient | AsyncClient


@pytest.fixture(params=[BlockingClient, AsyncClient], ids=["blocking", "async"])
def charged(request: pytest.FixtureRequest, upstream: MockUpstream) -> Iterator[EitherClient]:
    """A client with a budget for one answer; the upstream costs $1 a thousand tokens of input, $2 of output."""
    paid: dict[str, Any] = {"prices": {"input": "1000", "output": "2000"}, "max_output_tokens": MOST}
    names = ["cut", "rst", "stall", "hugebody", "hugeline", "html", "empty200", "trunc", "firsterror", "ttfb", "status-500"]
    models = {name: {"targets": [f"{SLOW.get(name, 'up')}/{name}"], **paid} for name in names}
    models["hugeline"]["targets"].append("up/ok")
    keys = {"client": {"secret": KEY, "budget": {"usd": "0.06", "period": "total"}}}
    made = request.param(settings_for(upstream, models=models, keys=keys, stores={"ledger": "memory://"}))
    yield made
    made.close()


def usage_of(client: EitherClient) -> UsageRow:
    [row] = client.gateway.usage() if isinstance(client, BlockingClient) else client.runner.run(client.gateway.usage())
    return row


def failures(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    lines = [line(record) for record in caplog.records if record.name == "completions_mw"]
    return [line for line in lines if line["event"] == "upstream_failed"]


@pytest.mark.parametrize("model", ["cut", "rst", "stall", "hugebody"])
def test_a_whole_answer_that_breaks_off_is_charged_as_far_as_it_came(
    charged: EitherClient, caplog: pytest.LogCaptureFixture, model: str
) -> None:
    answer = charged.post(model)
    assert (answer.status in (502, 504), answer.headers["x-should-retry"]) == (True, "false")
    row = usage_of(charged)
    assert (row.prompt_tokens, row.estimated) == (PROMPT, 1)
    assert row.completion_tokens == MOST or (model == "rst" and row.completion_tokens == 0)
    assert row.cost_nano == PROMPT * 1_000_000 + row.completion_tokens * 2_000_000
    [line] = failures(caplog)
    assert line.get("maybe_billed") is (True if model == "stall" else None)


@pytest.mark.parametrize(("model", "stream"), [("hugebody", False), ("hugeline", True)], ids=["plain", "stream"])
def test_answers_that_are_too_large_use_up_a_budget(charged: EitherClient, upstream: MockUpstream, model: str, stream: bool) -> None:
    """Those of a stream too, as of servers that send all of it as one event."""
    assert charged.post(model, stream=stream).error["code"] == "upstream_too_large"
    assert usage_of(charged).cost_nano == PROMPT * 1_000_000 + MOST * 2_000_000
    assert charged.post(model, stream=stream).error["code"] == "insufficient_quota"
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    ("model", "stream", "maybe_billed"),
    [
        ("html", False, True),
        ("empty200", False, True),
        ("trunc", False, True),
        ("firsterror", False, True),
        ("firsterror", True, True),
        ("status-500", False, None),
    ],
)
def test_what_is_no_answer_is_not_charged(
    charged: EitherClient, caplog: pytest.LogCaptureFixture, model: str, stream: bool, maybe_billed: bool | None
) -> None:
    """But the operator is told that it may be on the provider's bill (docs/promises.md, Money)."""
    answer = charged.post(model, stream=stream)
    assert (answer.status, answer.headers.get("x-should-retry")) == (502, "false" if maybe_billed else None)
    row = usage_of(charged)
    assert (row.prompt_tokens, row.completion_tokens, row.cost_nano, row.estimated) == (0, 0, 0, 0)
    [line] = failures(caplog)
    assert line.get("maybe_billed") is maybe_billed


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_time_out_after_the_request_was_sent_is_charged_by_its_time(charged: EitherClient, stream: bool) -> None:
    """Ten tokens take a tenth of a second, and more than that passes (docs/promises.md, Money)."""
    answer = charged.post("ttfb", stream=stream)
    assert (answer.status, answer.error["code"], answer.headers["x-should-retry"]) == (504, "upstream_timeout", "false")
    row = usage_of(charged)
    assert (row.prompt_tokens, row.completion_tokens, row.estimated) == (PROMPT, MOST, 1)
    # Neither of the next two repeats it for nothing.
    assert charged.post("ttfb", stream=stream).error["code"] == "insufficient_quota"


async def silent(x: RequestContext) -> None:
    x.cut()


async def busy(x: RequestContext) -> None:
    """Say why there is no answer, and never end."""
    await x.head(429, ("content-type", "application/json"), ("content-length", "1000"))
    await x.released()


@every_transport
@pytest.mark.parametrize("kind", [BlockingClient, AsyncClient], ids=["blocking", "async"])
def test_a_connection_that_is_closed_instead_of_an_answer(
    kind: type[BlockingClient] | type[AsyncClient], transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The request was sent, so it may be billed (docs/promises.md, Targets and fallback)."""
    with MockUpstream({"silent": silent}) as upstream:
        client = kind(settings_for(upstream, models={"silent": {"targets": ["up/silent"]}}, transport=transport))
        assert client.post("silent").status == 502
        client.close()
    [line] = failures(caplog)
    assert line["maybe_billed"] is True


@every_transport
@pytest.mark.parametrize("kind", [BlockingClient, AsyncClient], ids=["blocking", "async"])
def test_a_refusal_that_does_not_end_is_one(kind: type[BlockingClient] | type[AsyncClient], transport: str) -> None:
    """Its status says enough: another target may answer."""
    with MockUpstream({"busy": busy}) as upstream:
        client = kind(settings_for(upstream, models={"busy": {"targets": ["silent/busy", "up/ok"]}}, transport=transport))
        assert client.post("busy").status == 200
        client.close()
