"""JSON and streams on every server; what the upstream sends is not held back (docs/promises.md, Streams and truncation)."""

import json

from tests.servers.client import AUTHORIZATION, PATH, StreamClient, body, chat, content_of, get, text_of
from tests.servers.conftest import Note, Running, Upstream
from tests.servers.kinds import GRANIAN, GUNICORN_GTHREAD, UVICORN_H11, UVICORN_HTTPTOOLS, every
from tests.support.rawhttp import RawClient, request

WORDS = "one two three four"


@every()
def test_json(server: Running, upstream: Upstream) -> None:
    with RawClient(server.port) as client:
        answer = client.exchange(chat(text="hello there"))
    assert answer.complete
    assert content_of(answer) == "hello there"
    assert [(header, answer.head.header(header)) for header in ("content-type", "content-length")] == [
        ("content-type", "application/json"),
        ("content-length", str(len(answer.body))),
    ]


@every()
def test_stream(server: Running, upstream: Upstream) -> None:
    with StreamClient(server.port) as client:
        client.ask("ok", WORDS)
        head = client.read_head()
        events = client.rest_of_events()
    assert text_of(events) == WORDS
    assert head.header("content-type") == "text/event-stream; charset=utf-8"
    assert head.header("cache-control") == "no-cache, no-transform"
    assert head.header("content-length") is None


@every()
def test_each_event_arrives_before_the_next_is_sent(server: Running, upstream: Upstream, note: Note) -> None:
    blocks = []
    with StreamClient(server.port) as client:
        client.ask("stepwise", WORDS)
        upstream.step()
        client.start()
        while (block := client.next_event()) is not None:
            blocks.append(block)
            upstream.step()
    assert text_of([block.text.removeprefix("data: ") for block in blocks]) == WORDS
    for at, (sent, block) in enumerate(zip(upstream.steps.sent_at, blocks[:-1], strict=True)):
        note(f"{server.kind.id}: {'a later' if at else 'the first'} event, upstream to client", block.at - sent)


@every()
def test_connection_is_used_again(server: Running, upstream: Upstream) -> None:
    before = upstream.connections
    with RawClient(server.port) as client:
        first = client.exchange(chat(text="first"))
        assert content_of(first) == "first"
        if first.head.header("connection") != "close":
            assert content_of(client.exchange(chat(text="second"))) == "second"
    assert upstream.connections <= before + 1


@every()
def test_other_paths_are_the_host_apps(server: Running, upstream: Upstream) -> None:
    assert get(server.port, "/page").endswith("GET /page")
    assert upstream.requests == []


H2C = (("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c"), ("http2-settings", "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA"))
"""What Java's `HttpClient` sends by default."""


@every((UVICORN_HTTPTOOLS, UVICORN_H11, GUNICORN_GTHREAD, GRANIAN))
def test_a_client_that_asks_for_http_2_is_answered(server: Running, upstream: Upstream) -> None:
    """uvicorn with httptools loses the body, which its client is told."""
    with RawClient(server.port) as client:
        answer = client.exchange(request(PATH, body(), AUTHORIZATION, *H2C))
    if server.kind is UVICORN_HTTPTOOLS:
        error = json.loads(answer.body)["error"]
        assert (answer.status, error["code"], "send no Upgrade header" in error["message"]) == (400, "missing_body", True)
    else:
        assert answer.status == 200
