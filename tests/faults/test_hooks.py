"""Code of the host app and of ours that fails; both gateways (docs/promises.md, Hosts and servers)."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from completions_mw import Caller, PermissionDeniedError, RateLimitError, Request
from completions_mw.backends import pool
from completions_mw.backends.http import call, transport
from completions_mw.core import pipeline, routes
from completions_mw.core.dispatch import attempt, catalog, chat, route, upstream_target
from completions_mw.core.inbound import chat_completions, openai_dialect
from completions_mw.core.keys import authentication
from completions_mw.core.streaming import grammar
from completions_mw.providers import openai
from completions_mw.providers.openai import stream as openai_stream
from completions_mw.sse import Decoder
from tests.faults.conftest import HEADERS, AsyncClient, BlockingClient, request, settings_for
from tests.support.envelope import check_error
from tests.support.logs import line
from tests.support.upstream import MockUpstream

CANARY = "canary-in-an-exception"
INTERNAL = {
    "message": "The server had an error while processing your request. Sorry about that!",
    "type": "server_error",
    "param": None,
    "code": "internal_error",
}
Kind = type[BlockingClient | AsyncClient]
both_gateways = pytest.mark.parametrize("kind", [BlockingClient, AsyncClient], ids=["blocking", "async"])
both_ways = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


def by_login(model: str = "ok", **fields: Any) -> Request:
    return replace(request(model, **fields), headers=HEADERS[1:])


def fail(error: BaseException) -> Any:
    raise error


def check_log(caplog: pytest.LogCaptureFixture, error: str = "RuntimeError", request_id: str | None = None) -> None:
    """Check that one ERROR says which request failed by which exception, and never by what words."""
    (failure,) = [line(record) for record in caplog.records if record.levelno == logging.ERROR]
    assert (failure["event"], failure["error"]) == ("internal_error", error)
    assert request_id in (None, failure["request_id"])
    assert CANARY not in caplog.text


# --- authenticate


@both_gateways
@pytest.mark.parametrize(
    "error", [RuntimeError(CANARY), KeyError(CANARY), StopIteration(CANARY), UnicodeDecodeError("utf-8", b"x", 0, 1, CANARY)], ids=repr
)
def test_a_login_that_raises_lets_nobody_in(kind: Kind, upstream: MockUpstream, caplog: pytest.LogCaptureFixture, error: Exception) -> None:
    client = kind(settings_for(upstream), authenticate=lambda _: fail(error))
    answer = client.send(by_login())
    assert (answer.status, answer.error) == (500, INTERNAL)
    assert upstream.requests == []
    check_log(caplog, "RuntimeError" if isinstance(error, StopIteration) else type(error).__name__, answer.headers["x-request-id"])
    assert client.post("ok").status == 200, "a key needs no login"
    client.close()


@both_gateways
@pytest.mark.parametrize("answer", [None, "", False, True, 4.2, b"user", {"id": "user"}, ["user"], Caller], ids=repr)
def test_a_login_that_says_nonsense_lets_nobody_in(kind: Kind, upstream: MockUpstream, answer: object) -> None:
    client = kind(settings_for(upstream), authenticate=lambda _: answer)
    assert client.send(by_login()).status in (401, 500)
    assert upstream.requests == []
    client.close()


@both_gateways
def test_a_login_may_refuse_in_its_own_words(kind: Kind, upstream: MockUpstream) -> None:
    client = kind(settings_for(upstream), authenticate=lambda _: fail(PermissionDeniedError("Not on weekends.")))
    answer = client.send(by_login())
    assert (answer.status, answer.error["message"]) == (403, "Not on weekends.")
    client.close()


def test_a_login_that_waits_is_for_the_async_gateway(upstream: MockUpstream) -> None:
    async def login(_: Request) -> str:
        await asyncio.sleep(0)
        return "user"

    # An async function is refused at construction; what only returns something to await is not seen there.
    blocking = BlockingClient(settings_for(upstream), authenticate=lambda request: login(request))
    with pytest.raises(RuntimeError, match="use AsyncGateway for code that waits"):
        blocking.send(by_login())
    assert upstream.requests == []
    blocking.close()
    on_a_loop = AsyncClient(settings_for(upstream), authenticate=login)
    assert on_a_loop.send(by_login()).status == 200
    on_a_loop.close()


# --- models


def raises(_: object) -> str:
    raise RuntimeError(CANARY)


def raises_at_once(_: object) -> Iterator[str]:
    raise RuntimeError(CANARY)
    yield ""


def raises_later(_: object) -> Iterator[str]:
    yield "one "
    raise RuntimeError(CANARY)


async def raises_async(_: object) -> str:
    raise RuntimeError(CANARY)


@both_gateways
@both_ways
@pytest.mark.parametrize("function", [raises, raises_at_once, raises_later, raises_async], ids=lambda function: function.__name__)
def test_a_model_that_raises(
    kind: Kind, upstream: MockUpstream, caplog: pytest.LogCaptureFixture, function: Callable[..., Any], stream: bool
) -> None:
    client = kind(settings_for(upstream), models={"bot": function})
    answer = client.post("bot", stream=stream)
    assert answer.error == INTERNAL
    assert answer.status == (200 if stream and function is raises_later else 500)
    assert CANARY.encode() not in answer.body
    assert b"[DONE]" not in answer.body
    check_log(caplog, request_id=answer.headers["x-request-id"])
    assert client.post("ok").status == 200
    client.close()


@both_gateways
@both_ways
def test_a_model_may_refuse_in_its_own_words(kind: Kind, upstream: MockUpstream, stream: bool) -> None:
    client = kind(settings_for(upstream), models={"bot": lambda _: fail(RateLimitError("Slow down."))})
    answer = client.post("bot", stream=stream)
    assert (answer.status, answer.error["message"]) == (429, "Slow down.")
    client.close()


CIRCLE: dict[str, Any] = {}
CIRCLE["content"] = CIRCLE
NONSENSE: dict[str, object] = {
    "None": None,
    "number": 42,
    "object": object(),
    "bytes": b"text",
    "list of numbers": [1, 2],
    "choices that are none": {"choices": 1},
    "choice that is none": {"choices": [1]},
    "delta that is none": {"choices": [{"delta": 5}]},
    "content that is no text": {"content": 7},
    "message that is none": {"choices": [{"message": None}]},
    "tool calls that are none": {"tool_calls": 5},
    "usage that is none": {"usage": -3},
    "circle": CIRCLE,
}


@both_gateways
@both_ways
@pytest.mark.parametrize("value", NONSENSE.values(), ids=NONSENSE)
def test_a_model_that_says_nonsense(
    kind: Kind, upstream: MockUpstream, caplog: pytest.LogCaptureFixture, value: object, stream: bool
) -> None:
    client = kind(settings_for(upstream), models={"bot": lambda _: value})
    with caplog.at_level(logging.INFO, "completions_mw.access"):
        answer = client.post("bot", stream=stream)
    assert answer.error == INTERNAL
    assert b"[DONE]" not in answer.body
    (access,) = [line(record) for record in caplog.records if record.name == "completions_mw.access"]
    assert (access["status"], access["code"]) == (500, "internal_error")
    client.close()


@both_gateways
def test_half_a_surrogate_pair(kind: Kind, upstream: MockUpstream) -> None:
    """In a stream the other half may come with the next piece."""
    client = kind(settings_for(upstream), models={"bot": lambda _: "\ud800", "joined": lambda _: iter(["\ud83d", "\ude00"])})
    assert client.post("bot", stream=False).error == INTERNAL
    assert client.post("bot", stream=True).text == "\ufffd"
    assert client.post("joined", stream=True).text == "\U0001f600"
    client.close()


@both_gateways
@both_ways
def test_numbers_that_json_does_not_have(kind: Kind, upstream: MockUpstream, stream: bool) -> None:
    """A JavaScript client would lose the whole answer over one of them."""
    client = kind(settings_for(upstream), models={"bot": lambda _: {"content": "a", "score": [float("nan"), float("-inf")]}})
    answer = client.post("bot", stream=stream)
    assert answer.text == "a"
    assert b'"score":[null,null]' in answer.body
    client.close()


@both_gateways
def test_a_model_that_will_not_stop(kind: Kind, upstream: MockUpstream, caplog: pytest.LogCaptureFixture) -> None:
    def stubborn(_: object) -> Iterator[str]:
        try:
            yield "one "
        finally:
            raise RuntimeError(CANARY)

    client = kind(settings_for(upstream), models={"bot": stubborn})
    leave_after_one_piece(client)
    assert client.post("ok").status == 200
    assert CANARY not in caplog.text
    client.close()


def leave_after_one_piece(client: BlockingClient | AsyncClient) -> None:
    if isinstance(client, BlockingClient):
        body = client.gateway.handle(request("bot", stream=True)).body
        assert not isinstance(body, bytes)
        with body:
            next(body)
        return

    async def leave() -> None:
        body = (await client.gateway.handle(request("bot", stream=True))).body
        assert not isinstance(body, bytes)
        await body.__anext__()
        await body.aclose()

    client.runner.run(leave())


class BrokenHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise RuntimeError(CANARY)


@both_gateways
@both_ways
@pytest.mark.parametrize("model", ["ok", "status-500", "no-such-model", "cut"])
def test_a_log_handler_that_raises(kind: Kind, upstream: MockUpstream, model: str, stream: bool) -> None:
    client, handler, logger = kind(settings_for(upstream)), BrokenHandler(), logging.getLogger("completions_mw")
    logger.addHandler(handler)
    try:
        answer = client.post(model, stream=stream)
    finally:
        logger.removeHandler(handler)
    assert answer.status == {"ok": 200, "no-such-model": 404, "cut": 200 if stream else 502}.get(model, 502)
    upstream.wait_for(lambda: upstream.active_requests == 0)
    client.close()


# --- our own code

BEFORE: list[tuple[Any, str]] = [
    (routes.Routes, "find"),
    (pipeline, "parse_headers"),
    (pipeline, "check_entity"),
    (openai_dialect, "parse_json_body"),
    (chat_completions, "validate"),
    (authentication.Authenticator, "find"),
    (authentication, "digest_of"),
    (catalog.Catalog, "resolve"),
    (route.Route, "candidates"),
    (attempt.Attempt, "_measured"),
    (upstream_target.UpstreamTarget, "_send"),
    (openai, "build_request"),
    (transport, "request_head"),
    (transport, "UpstreamCall"),
    (transport, "UpstreamResponse"),
    (transport, "Body"),
    (pool.Pool, "acquire"),
    (call.UpstreamCall, "sent"),
    (call.UpstreamCall, "receive"),
    (call.UpstreamCall, "on_headers_complete"),
    (call.UpstreamCall, "on_body"),
]
WHOLE: list[tuple[Any, str]] = [(openai, "parse_completion"), (chat, "_finished"), (chat_completions.ChatCompletions, "render")]
FIRST_EVENT: list[tuple[Any, str]] = [
    (chat, "_stream"),
    (chat, "ChunkGrammar"),
    (grammar.ChunkGrammar, "follow"),
    (Decoder, "feed"),
    (openai_stream, "parse_event"),
    (grammar.ChunkGrammar, "feed"),
    (call.UpstreamCall, "take"),
]
LATER: list[tuple[Any, str]] = [
    (Decoder, "feed"),
    (openai_stream, "parse_event"),
    (grammar.ChunkGrammar, "feed"),
    (grammar.ChunkGrammar, "end"),
    (openai_dialect, "encode"),
    (grammar.ChunkGrammar, "follow"),
    (call.UpstreamCall, "receive"),
    (call.UpstreamCall, "take"),
]


def name_of(point: object) -> str:
    return f"{getattr(point, '__qualname__', getattr(point, '__name__', point))}".rpartition(".")[2]


def break_once(monkeypatch: pytest.MonkeyPatch, point: tuple[Any, str]) -> None:
    """Make the next call of one function of ours raise."""
    owner, name = point
    original, broken = getattr(owner, name), False

    def breaking(*args: Any, **options: Any) -> Any:
        nonlocal broken
        if not broken:
            broken = True
            raise RuntimeError(CANARY)
        return original(*args, **options)

    monkeypatch.setattr(owner, name, breaking)


def read_in_two(client: BlockingClient | AsyncClient, halfway: Callable[[], object]) -> bytes:
    """Return all of a stream, of which a part is read before `halfway` is called."""
    if isinstance(client, BlockingClient):
        body = client.gateway.handle(request("stall-1", stream=True)).body
        assert not isinstance(body, bytes)
        with body:
            first = next(body)
            halfway()
            return first + b"".join(body)

    async def read() -> bytes:
        body = (await client.gateway.handle(request("stall-1", stream=True))).body
        assert not isinstance(body, bytes)
        pieces = [await body.__anext__()]
        halfway()
        while not body.is_done:
            pieces.append(await body.__anext__())
        await body.aclose()
        return b"".join(pieces)

    return client.runner.run(read())


@both_gateways
@pytest.mark.parametrize(
    ("point", "stream"),
    [
        pytest.param(point, stream, id=f"{name_of(point[0])}.{point[1]}-{stream}")
        for stream in (False, True)
        for point in BEFORE + (FIRST_EVENT if stream else WHOLE)
    ],
)
def test_a_fault_of_ours_before_the_answer(
    kind: Kind,
    upstream: MockUpstream,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    point: tuple[Any, str],
    stream: bool,
) -> None:
    """See docs/promises.md, Hosts and servers."""
    client = kind(settings_for(upstream, connections={"max": 1}))
    with monkeypatch.context() as patch:
        break_once(patch, point)
        answer = client.post("ok", stream=stream)
    assert (answer.status, answer.error) == (500, INTERNAL)
    check_error(answer.json)
    check_log(caplog, request_id=answer.headers["x-request-id"])
    assert client.post("ok", stream=stream).status == 200
    upstream.wait_for(lambda: upstream.active_requests == 0)
    client.close()


@both_gateways
@pytest.mark.parametrize("point", LATER, ids=lambda point: f"{name_of(point[0])}.{point[1]}")
def test_a_fault_of_ours_after_the_head_of_the_answer(
    kind: Kind, upstream: MockUpstream, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, point: tuple[Any, str]
) -> None:
    """See docs/promises.md, Hosts and servers."""
    models = {name: {"targets": [f"up/{name}"]} for name in ("ok", "stall-1")}
    client = kind(settings_for(upstream, connections={"max": 1}, models=models))

    def halfway() -> None:
        break_once(patch, point)
        upstream.release()

    with monkeypatch.context() as patch:
        *_, last = read_in_two(client, halfway).split(b"\n\n")[:-1]
    assert json.loads(last.removeprefix(b"data: ")) == {"error": INTERNAL}
    check_log(caplog)
    assert client.post("ok").status == 200
    upstream.wait_for(lambda: upstream.active_requests == 0)
    client.close()
