"""The helpers do what they say: a fault that is not injected would make its test pass for nothing."""

import json
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

from completions_mw.sse import Decoder
from tests.support import proxy as faults
from tests.support.process import free_port, serve
from tests.support.proxy import FaultProxy
from tests.support.rawhttp import Answer, RawClient, request
from tests.support.upstream import MockUpstream
from tests.support.upstream_exchange import RequestContext
from tests.support.upstream_scenarios import BAD_USAGE, FRAMINGS

PATH = "/v1/chat/completions"
TEXT = "one two three"


def body(model: str, **fields: object) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": TEXT}], **fields}


def wire(model: str, **fields: object) -> bytes:
    return request(PATH, json.dumps(body(model, **fields)).encode(), ("authorization", "Bearer sk-upstream"))


def ask(upstream: MockUpstream, model: str, **fields: object) -> Answer:
    with RawClient(upstream.port) as client:
        return client.exchange(wire(model, **fields))


def events(answer: Answer) -> list[bytes]:
    return [event.data for event in Decoder().feed(answer.body)]


def text_of(stream: list[bytes]) -> str:
    assert stream[-1] == b"[DONE]"
    choices = [choice for event in stream[:-1] for choice in json.loads(event)["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def test_the_upstream_answers_an_ordinary_client() -> None:
    with MockUpstream() as upstream, httpx2.Client(base_url=upstream.url) as client:
        plain = client.post("/chat/completions", json=body("ok")).json()
        stream = client.post("/chat/completions", json=body("ok", stream=True, stream_options={"include_usage": True}))
        assert (upstream.connections, [received.path for received in upstream.requests]) == (1, [PATH, PATH])
    assert plain["choices"][0]["message"]["content"] == TEXT
    assert plain["usage"] == {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}
    chunks = [event.data for event in Decoder().feed(stream.content)]
    assert text_of(chunks) == TEXT
    assert json.loads(chunks[-2])["usage"] == plain["usage"]


def test_usage_is_streamed_only_if_it_is_asked_for() -> None:
    with MockUpstream() as upstream:
        assert all("usage" not in json.loads(event) for event in events(ask(upstream, "ok", stream=True))[:-1])


@pytest.mark.parametrize("scenario", [*FRAMINGS, "quirks-llama", "quirks-ollama", "quirks-finish-with-content", "usage-every-chunk"])
def test_every_framing_holds_the_same_text(scenario: str) -> None:
    with MockUpstream() as upstream:
        answer = ask(upstream, scenario, stream=True)
        assert answer.complete
        assert text_of(events(answer)) == TEXT
        assert json.loads(ask(upstream, scenario).body)["choices"][0]["message"]["content"] == TEXT


def test_separators_of_unicode_come_unescaped() -> None:
    with MockUpstream() as upstream:
        answer = ask(upstream, "u2028", stream=True)
    assert "\u2028\u2029\u0085é".encode() in answer.body
    assert text_of(events(answer)) == TEXT + "\u2028\u2029\u0085é"


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_tool_is_called_and_its_result_answered(stream: bool) -> None:
    tools = [{"type": "function", "function": {"name": "look_up"}}]
    with MockUpstream() as upstream:
        call = ask(upstream, "tools", stream=stream, tools=tools)
        answer = ask(upstream, "tools", stream=stream, tools=tools, messages=[{"role": "tool", "tool_call_id": "call_1", "content": "42"}])
    if stream:
        deltas = [choice["delta"] for event in events(call)[:-1] for choice in json.loads(event)["choices"]]
        functions = [part["function"] for delta in deltas for part in delta.get("tool_calls", [])]
        assert (functions[0]["name"], text_of(events(answer))) == ("look_up", "42")
        assert json.loads("".join(function["arguments"] for function in functions)) == {"text": TEXT}
    else:
        message = json.loads(call.body)["choices"][0]["message"]
        assert message["tool_calls"][0]["function"] == {"name": "look_up", "arguments": json.dumps({"text": TEXT})}
        assert json.loads(answer.body)["choices"][0]["message"]["content"] == "42"


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(("scenario", "complete"), [("trunc", True), ("cut", False), ("rst", False)])
def test_an_answer_is_broken_off(scenario: str, complete: bool, stream: bool) -> None:
    with MockUpstream() as upstream:
        answer = ask(upstream, scenario, stream=stream)
        assert answer.complete is complete
        assert answer.body
        assert b"[DONE]" not in answer.body
        assert upstream.closed == []
    if not stream:
        with pytest.raises(json.JSONDecodeError):
            json.loads(answer.body)


@pytest.mark.parametrize(
    ("scenario", "last"),
    [
        ("errorevent", b'"code": "overloaded"'),
        ("namederror", b"The engine died."),
        ("vllmerror", b"[DONE]"),
        ("stringerror", b'{"error": "boom"}'),
        ("firsterror", b'"code": "overloaded"'),
        ("badjson", b'"delta'),
        ("badutf8", b"\xff\xfe"),
        ("nonobject", b"[1, 2]"),
        ("nodone", b'"finish_reason": "stop"'),
    ],
)
def test_a_stream_ends_with_its_fault(scenario: str, last: bytes) -> None:
    with MockUpstream() as upstream:
        answer = ask(upstream, scenario, stream=True)
    assert answer.complete
    assert last in events(answer)[-1]
    assert len(events(answer)) == {"firsterror": 1, "vllmerror": 5, "nodone": 5}.get(scenario, 4)


@pytest.mark.parametrize(
    ("scenario", "status", "has"),
    [
        ("status-401", 401, b"sk-upstream"),
        ("status-529", 529, b"The upstream says 529."),
        ("errorevent", 200, b'{"error": {"message"'),
        ("nonobject", 200, b"[1, 2]"),
        ("html", 200, b"<!doctype html>"),
        ("empty200", 200, b""),
        ("nocontent", 204, b""),
        ("redirect", 307, b""),
        ("bigheader", 200, b"one two three"),
        ("gzip", 200, b"\x1f\x8b"),
        ("no-such-model", 404, b"model_not_found"),
        ("badusage-negative", 200, b"-5"),
        ("badusage-huge", 200, str(10**18).encode()),
    ],
)
def test_a_plain_answer_has_its_fault(scenario: str, status: int, has: bytes) -> None:
    with MockUpstream() as upstream:
        answer = ask(upstream, scenario)
    assert answer.status == status
    assert has in answer.body


def test_the_answer_comes_after_a_flood() -> None:
    with MockUpstream() as upstream, RawClient(upstream.port) as client:
        client.send(wire("flood1xx-1000"))
        assert [client.read_answer().status for _ in range(1001)] == [100] * 1000 + [200]


@pytest.mark.parametrize("name", BAD_USAGE)
def test_bad_usage_is_in_the_last_chunk(name: str) -> None:
    with MockUpstream() as upstream:
        chunks = events(ask(upstream, f"badusage-{name}", stream=True, stream_options={"include_usage": True}))
    assert json.dumps(json.loads(chunks[-2])["usage"]) == json.dumps(BAD_USAGE[name])


@pytest.mark.parametrize(
    ("scenario", "least"),
    [("hugebody", 16 * 1024**2), ("hugeline-17", 16 * 1024**2), ("tiny-flood-300000", 9 * 300_000), ("bomb", 60 * 1024)],
)
def test_a_stream_is_too_large(scenario: str, least: int) -> None:
    with MockUpstream() as upstream:
        assert len(ask(upstream, scenario, stream=True).body) > least


@pytest.mark.parametrize("scenario", ["ttfb", "stall", "stall-1", "hang"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_an_answer_waits_until_it_is_released(scenario: str, stream: bool) -> None:
    with MockUpstream() as upstream, RawClient(upstream.port) as client:
        client.send(wire(scenario, stream=stream))
        upstream.wait_for(lambda: upstream.active_requests == 1)
        upstream.release()
        assert client.read_answer().complete
        upstream.wait_for(lambda: upstream.active_requests == 0)
        assert upstream.closed == []


@pytest.mark.parametrize("leave", [RawClient.close, RawClient.reset], ids=["FIN", "RST"])
@pytest.mark.parametrize("scenario", ["ttfb", "stall-2", "endless", "drip", "hugeline", "hang"])
def test_the_upstream_sees_its_client_leave(scenario: str, leave: Any) -> None:
    with MockUpstream() as upstream:
        client = RawClient(upstream.port)
        client.send(wire(scenario, stream=True))
        upstream.wait_for(lambda: upstream.active_requests == 1)
        leave(client)
        assert upstream.wait_closed().request.model == scenario
        upstream.wait_for(lambda: upstream.active_connections == 0)


def test_a_scenario_fails_as_often_as_it_says() -> None:
    with MockUpstream() as upstream:
        assert [ask(upstream, "flaky-2").status for _ in range(3)] == [503, 503, 200]
        upstream.reset()
        assert ask(upstream, "flaky-2").status == 503
        assert len(upstream.requests) == 1


def test_a_test_may_bring_its_own_scenario() -> None:
    async def teapot(x: RequestContext) -> None:
        await x.reply(b"short and stout", status=418)

    with MockUpstream({"teapot": teapot}) as upstream:
        assert ask(upstream, "teapot").status == 418


def test_a_mistake_in_a_scenario_is_raised() -> None:
    async def wrong(x: RequestContext) -> None:
        raise LookupError

    with pytest.raises(ExceptionGroup), MockUpstream({"wrong": wrong}) as upstream, pytest.raises(ConnectionError):
        ask(upstream, "wrong")


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        pytest.param(faults.Grant(), b"0123456789", id="pass"),
        pytest.param(faults.Delay(0.001), b"0123456789", id="delay"),
        pytest.param(faults.Drip(0.001), b"0123456789", id="drip"),
        pytest.param(faults.Corrupt(4), b"0123\xcb56789", id="corrupt"),
        pytest.param(faults.Cut(4), b"0123", id="cut"),
        pytest.param(faults.Cut(0), b"", id="cut at once"),
        pytest.param(faults.Reset(4), ConnectionResetError, id="reset"),
        pytest.param(faults.Refuse(), ConnectionRefusedError, id="refuse"),
    ],
)
def test_the_proxy_breaks_the_answer(mode: faults.Mode, expected: bytes | type[Exception]) -> None:
    async def digits(x: RequestContext) -> None:
        await x.send(b"0123456789")
        x.cut()

    with MockUpstream({"digits": digits}) as upstream, FaultProxy("127.0.0.1", upstream.port, mode) as proxy:
        if isinstance(expected, bytes):
            assert _all_of(proxy.port, wire("digits")) == expected
        else:
            with pytest.raises(expected):
                _all_of(proxy.port, wire("digits"))


def test_the_proxy_holds_an_answer_until_its_mode_changes() -> None:
    with MockUpstream() as upstream, FaultProxy("127.0.0.1", upstream.port, faults.Stall()) as proxy, RawClient(proxy.port) as client:
        client.send(wire("ok"))
        upstream.wait_for(lambda: len(upstream.requests) == 1 and upstream.active_requests == 0)
        proxy.use(faults.Grant())
        assert client.read_answer().status == 200


def test_the_proxy_can_be_refused_and_reached_again() -> None:
    with MockUpstream() as upstream, FaultProxy("127.0.0.1", upstream.port) as proxy, RawClient(proxy.port) as client:
        assert client.exchange(wire("ok")).status == 200
        proxy.use(faults.Refuse())
        with pytest.raises(ConnectionRefusedError):
            RawClient(proxy.port)
        assert client.exchange(wire("ok")).status == 200
        proxy.use(faults.Grant())
        RawClient(proxy.port).close()
        proxy.drop()
        assert client.at_end()


def test_a_blackhole_answers_nobody() -> None:
    with FaultProxy("127.0.0.1", free_port(), faults.Blackhole()) as proxy, pytest.raises(TimeoutError):
        RawClient(proxy.port, timeout=0.2)


SERVER = """
import socket, subprocess, sys
child = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1]))).recv(1)"
subprocess.Popen([sys.executable, "-c", child, sys.argv[2]])
print("listening")
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    listener.accept()[0].close()
"""


def test_a_process_is_stopped_with_its_children() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as parent:
        command = [sys.executable, "-c", SERVER, str(port), str(parent.getsockname()[1])]
        with serve(command, ready=f"http://127.0.0.1:{port}") as server:
            child, _ = parent.accept()
            assert len(server.children()) == 1
            assert server.output() == "listening\n"
            assert server.running()
        with child:
            child.settimeout(10)
            assert child.recv(1) == b""
        assert not server.running()


def test_a_process_gets_signals() -> None:
    port = free_port()
    with serve([sys.executable, "-c", SERVER, str(port), str(port)], ready=port) as server:
        server.signal(signal.SIGKILL)
        assert server.wait() == -signal.SIGKILL


def test_a_process_that_ends_early_shows_why(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="No module named no_such_server"),
        serve([sys.executable, "-m", "no_such_server"], ready=free_port(), cwd=tmp_path),
    ):
        pass


def _all_of(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(data)
        return b"".join(iter(lambda: connection.recv(1024), b""))
