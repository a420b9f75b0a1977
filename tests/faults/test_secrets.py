"""Nothing secret in logs at DEBUG, errors, tracebacks or reprs, and no forged lines (docs/promises.md, Secrets)."""

import json
import logging
import traceback
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic_core import to_json

from completions_mw import AsyncGateway, Caller, Gateway, GatewayError, JsonFormatter, Request, Response, Settings
from tests.faults.conftest import HASTE, HEADERS, KEY, SLOW, UPSTREAM_KEY, AsyncClient, BlockingClient, request, settings_for
from tests.support.upstream import MockUpstream
from tests.support.upstream_exchange import RequestContext

CANARIES = {
    "client key": KEY,
    "upstream key": UPSTREAM_KEY,
    "wrong key": "sk-canary-wrong-key",
    "content": "canary-in-the-content",
    "tool arguments": "canary-in-the-arguments",
    "URL": "canary-in-the-path",
    "header": "canary-in-a-header",
}
CONTENT = CANARIES["content"]
TOOL_CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": json.dumps({"a": CANARIES["tool arguments"]})}}
MESSAGES = [
    {"role": "user", "content": CONTENT},
    {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": CONTENT},
]


def leaked(text: str) -> list[str]:
    return [name for name, canary in CANARIES.items() if canary in text]


def everything_of(x: RequestContext) -> bytes:
    """Return what a careless upstream repeats: our request, with its headers."""
    return repr((x.request.path, x.request.headers, x.request.raw)).encode()


async def echo_head(x: RequestContext) -> None:
    key = everything_of(x)
    await x.send(b"HTTP/1.1 200 %b\r\nx-echo: %b\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}" % (key, key))


async def not_http(x: RequestContext) -> None:
    await x.send(everything_of(x) + b"\r\n\r\n")


async def bad_header(x: RequestContext) -> None:
    await x.send(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % everything_of(x))


async def bad_length(x: RequestContext) -> None:
    await x.send(b"HTTP/1.1 200 OK\r\ncontent-length: %b\r\n\r\n" % everything_of(x))


async def bad_chunk(x: RequestContext) -> None:
    await x.start()
    await x.send(b"zz" + everything_of(x) + b"\r\n")


async def cut_short(x: RequestContext) -> None:
    await x.head(200, ("content-type", "text/event-stream" if x.stream else "application/json"), ("content-length", "100000"))
    await x.send(everything_of(x))
    x.cut()


async def bad_event(x: RequestContext) -> None:
    await x.start()
    await x.piece(b"data: " + everything_of(x) + b"\n\n")
    await x.end()


async def key_in_error(x: RequestContext) -> None:
    """Only what the gateway itself has added: an error text may quote the client's own words to it."""
    await x.reply_json({"error": {"message": f"bad request from {x.request.header('authorization')} to {x.request.path}"}}, status=400)


async def key_in_names(x: RequestContext) -> None:
    await x.reply_json({"error": named_after(x.request.header("authorization"))}, status=429)


async def key_in_report(x: RequestContext) -> None:
    """An error inside an answer with status 200, of either kind."""
    error = json.dumps({"error": named_after(x.request.header("authorization"))}).encode()
    if not x.stream:
        await x.reply_json(json.loads(error))
        return
    await x.start()
    await x.piece(b"data: " + error + b"\n\n")
    await x.end()


def named_after(secret: str | None) -> dict[str, str]:
    return {name: f"{name} {secret}" for name in ("message", "type", "param", "code")}


ECHOES = {
    name.replace("_", "-"): scenario
    for name, scenario in {
        "echo_head": echo_head,
        "not_http": not_http,
        "bad_header": bad_header,
        "bad_length": bad_length,
        "bad_chunk": bad_chunk,
        "cut_short": cut_short,
        "bad_event": bad_event,
        "key_in_error": key_in_error,
        "key_in_names": key_in_names,
        "key_in_report": key_in_report,
    }.items()
}
FAILURES = [*ECHOES, "status-401", "status-500", "errorevent", "html", "cut", "rst", "badjson", "bomb", "redirect", "hugeline", "stall"]


@pytest.fixture(scope="module")
def upstream() -> Iterator[MockUpstream]:
    with MockUpstream(ECHOES, path=None) as server:
        yield server


@pytest.fixture
def settings(upstream: MockUpstream) -> Settings:
    provider = {
        "api": "openai",
        "base_url": f"http://127.0.0.1:{upstream.port}/{CANARIES['URL']}/v1",
        "api_key": UPSTREAM_KEY,
        "headers": {"x-api-key": CANARIES["header"]},
    }
    providers = {"up": provider, "silent": {**provider, "timeouts": HASTE["silent"]}}
    models = {name: {"targets": [f"{SLOW.get(name, 'up')}/{name}"]} for name in (*FAILURES, "ok", "tools")}
    return settings_for(upstream, providers=providers, models=models)


@pytest.fixture(params=[BlockingClient, AsyncClient], ids=["blocking", "async"])
def client(request: pytest.FixtureRequest, settings: Settings) -> Iterator[BlockingClient | AsyncClient]:
    made = request.param(settings)
    yield made
    made.close()


def logged(caplog: pytest.LogCaptureFixture) -> str:
    return caplog.text + "".join(repr(record.__dict__) for record in caplog.records)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("model", ["ok", "tools"])
def test_answers(client: BlockingClient | AsyncClient, caplog: pytest.LogCaptureFixture, model: str, stream: bool) -> None:
    tools = [{"type": "function", "function": {"name": "f", "description": CONTENT}}]
    with caplog.at_level(logging.DEBUG):
        assert client.post(model, messages=MESSAGES, tools=tools, stream=stream).status == 200
    assert leaked(logged(caplog)) == []


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("model", FAILURES)
def test_failures_of_upstreams(client: BlockingClient | AsyncClient, caplog: pytest.LogCaptureFixture, model: str, stream: bool) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = client.post(model, messages=MESSAGES, stream=stream)
    told = json.dumps(answer.error) if answer.status != 200 or answer.events else ""
    assert leaked(logged(caplog) + told) == []


REFUSED: dict[str, Request] = {
    "no key": Request("POST", "/api/v1/chat/completions", (), to_json({"messages": MESSAGES})),
    "wrong key": Request("POST", "/api/v1/chat/completions", (("authorization", f"Bearer {CANARIES['wrong key']}"),), b"{}"),
    "two keys": Request("POST", "/api/v1/chat/completions", (HEADERS[0], *HEADERS), b"{}"),
    "another scheme": Request("POST", "/api/v1/chat/completions", (("authorization", f"Basic {KEY}"),), b"{}"),
    "key in another header": Request("POST", "/api/v1/chat/completions", (("x-api-key", KEY),), b"{}"),
    "no JSON": Request("POST", "/api/v1/chat/completions", HEADERS, b"{" + to_json(MESSAGES)),
    "wrong field": request("ok", CONTENT, temperature=CONTENT),
    "wrong role": request("ok", messages=[{"role": CONTENT, "content": CONTENT}]),
    "wrong type": Request("POST", "/api/v1/chat/completions", (HEADERS[0], ("content-type", "text/plain")), CONTENT.encode()),
}


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED)
def test_refusals(client: BlockingClient | AsyncClient, caplog: pytest.LogCaptureFixture, refused: Request) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = client.send(refused)
    assert answer.status in (400, 401, 415)
    assert leaked(logged(caplog) + answer.body.decode() + repr(answer.headers)) == []


@pytest.mark.parametrize("model", FAILURES)
def test_exceptions_of_direct_calls(settings: Settings, model: str) -> None:
    with Gateway(settings) as gateway:
        for call in (
            lambda: gateway.complete(model=model, messages=MESSAGES),
            lambda: list(gateway.stream(model=model, messages=MESSAGES)),
        ):
            with pytest.raises(GatewayError) as caught:
                call()
            text = "".join(traceback.format_exception(caught.value))
            assert leaked(f"{text} {caught.value} {caught.value!r} {caught.value.args} {caught.value.__dict__}") == []


def test_reprs(settings: Settings) -> None:
    secret: dict[str, Any] = {"headers": HEADERS, "body": CONTENT.encode(), "native": {"HTTP_AUTHORIZATION": KEY}}
    shown: list[object] = [
        settings,
        settings.keys,
        settings.model_dump(),
        settings.providers["up"].headers,  # type: ignore[union-attr]
        Gateway(settings),
        AsyncGateway(settings),
        Caller("team-a", metadata={"note": CONTENT}),
        Request("POST", "/api/v1/chat/completions", **secret),
        Response(200, (), CONTENT.encode()),
    ]
    text = " ".join(f"{value!r} {value}" for value in shown)
    assert leaked(text) == ["URL"], "an address is no secret to the operator who reads his settings"


EVIL = ['a"b', "a\r\nb", "\x1b[31mred", "%s%d{0}", "\u2028\u2029", "\x00", '{"event":"request"}', "é\U0001f600"]


@pytest.mark.parametrize("text", EVIL, ids=ascii)
def test_one_event_is_one_line_of_json(upstream: MockUpstream, settings: Settings, caplog: pytest.LogCaptureFixture, text: str) -> None:
    """In the model, the user, the caller's id, our own error codes and the upstream's (docs/promises.md, Secrets)."""
    evil = request(text, user=text)
    hooked = Gateway(settings, authenticate=lambda _: text, models={"evil": lambda _: fail(text)})
    with caplog.at_level(logging.INFO), hooked:
        for headers in (HEADERS, HEADERS[1:], (*HEADERS, ("x-client-request-id", "evil\x1b[31m\r\n"))):
            hooked.handle(replace(evil, headers=headers))
            hooked.handle(replace(request("evil"), headers=headers))
            hooked.handle(Request("POST", f"/api/v1/{text}", headers))
    assert len(caplog.records) >= 9
    for record in caplog.records:
        assert record.getMessage() in {"request", "upstream_failed"}
        line = JsonFormatter().format(record)
        assert line.isascii()
        assert line.isprintable()
        assert json.loads(line)["event"] == record.getMessage()


def fail(text: str) -> str:
    raise GatewayError("no", code=text)
