"""What only the transport `httpx2` has: HTTP/2, and proxies."""

import logging
import socket
from pathlib import Path

import pytest

from completions_mw.core.ports import Transport
from completions_mw.errors import UpstreamError
from completions_mw.http import UpstreamRequest
from tests.backends.http.sides import Side, ask, asking, every_httpx2, read
from tests.support.forward_proxy import ForwardProxy
from tests.support.http2 import Answer, answer_with, break_off, serve_http2
from tests.support.tls import TlsServer, read_request
from tests.support.upstream import MockUpstream

pytestmark = [every_httpx2, pytest.mark.usefixtures("trusted")]
HTTP2 = ("h2", "http/1.1")
LARGE = b"x" * 16_000
"""As much as a frame holds."""


def answer(connection: socket.socket) -> None:
    if read_request(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")


def test_requests_share_a_connection_of_http2(certificate: Path, on: Side) -> None:
    async def twice(transport: Transport) -> list[bytes]:
        return [await ask(transport, f"https://localhost:{server.port}/v1", LARGE) for _ in range(2)]

    with TlsServer(certificate, serve_http2(answer_with(LARGE)), alpn=HTTP2) as server:
        assert on(twice) == [LARGE, LARGE]
    assert server.names == ["localhost"]


def test_no_log_of_http2_quotes_a_request_or_an_answer(certificate: Path, caplog: pytest.LogCaptureFixture, on: Side) -> None:
    async def send(transport: Transport) -> bytes:
        headers = (("authorization", "Bearer canary-key"), ("x-canary-name", "1"))
        return await read(await transport.send(UpstreamRequest(f"https://localhost:{server.port}/canary-path", headers, b"canary-body")))

    serve = serve_http2(answer_with(b"canary-answer", ("x-canary", "canary-value")))
    with TlsServer(certificate, serve, alpn=HTTP2) as server, caplog.at_level(logging.DEBUG):
        assert on(send) == b"canary-answer"
    assert "httpcore2.http2" in {record.name for record in caplog.records}
    assert "canary" not in caplog.text


@pytest.mark.parametrize("serve", [break_off, answer_with(b"hi", ("content-length", "3"))], ids=["reset", "too short"])
def test_a_truncated_answer_in_http2(certificate: Path, serve: Answer, on: Side) -> None:
    with TlsServer(certificate, serve_http2(serve), alpn=HTTP2) as server, pytest.raises(UpstreamError) as broken:
        on(asking(f"https://localhost:{server.port}/v1"))
    assert broken.value.code in {"upstream_disconnected", "upstream_protocol_error"}


def test_a_header_of_http2_that_would_be_two_in_http1(certificate: Path, on: Side) -> None:
    serve = serve_http2(answer_with(b"hi", ("x", "a\r\ncontent-encoding: b")))
    with TlsServer(certificate, serve, alpn=HTTP2) as server, pytest.raises(UpstreamError) as refused:
        on(asking(f"https://localhost:{server.port}/v1"))
    assert refused.value.code == "upstream_protocol_error"


def test_a_proxy_that_tunnels(certificate: Path, on: Side) -> None:
    with TlsServer(certificate, answer) as upstream, ForwardProxy("Basic bWU6YTpi") as proxy:
        assert on(asking(f"https://localhost:{upstream.port}/v1"), proxy=f"http://me:a%3Ab@127.0.0.1:{proxy.port}") == [b"hi"]
    assert proxy.requests == [f"CONNECT localhost:{upstream.port} HTTP/1.1".encode()]
    assert upstream.names == ["localhost"]


def test_a_proxy_that_forwards(on: Side) -> None:
    with MockUpstream() as upstream, ForwardProxy("Basic bWU6YTpi") as proxy:
        body = b'{"model": "ok", "messages": [{"role": "user", "content": "hi"}]}'
        [got] = on(asking(f"{upstream.url}/chat/completions", body=body), proxy=f"http://me:a%3Ab@127.0.0.1:{proxy.port}")
        assert b"chatcmpl-upstream" in got
        assert len(upstream.requests) == 1
    assert proxy.requests == [f"POST {upstream.url}/chat/completions HTTP/1.1".encode()]


def test_a_proxy_that_refuses(certificate: Path, caplog: pytest.LogCaptureFixture, on: Side) -> None:
    with ForwardProxy("Basic bWU6YTpi") as proxy, caplog.at_level(logging.DEBUG), pytest.raises(UpstreamError) as refused:
        on(asking("https://localhost:1/v1"), proxy=f"http://me:canary-password@127.0.0.1:{proxy.port}")
    assert (refused.value.code, len(proxy.requests)) == ("upstream_unreachable", 1)
    seen = caplog.text + repr(refused.value.__cause__) + repr(refused.value.__context__)
    assert "canary" not in seen
