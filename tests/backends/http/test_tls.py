"""Connections to upstreams are encrypted for whom they name (docs/promises.md, Secrets)."""

import socket
import ssl
from pathlib import Path

import pytest

from completions_mw.backends.http.request_head import tls_context
from completions_mw.core.ports import Transport
from completions_mw.errors import UpstreamError, UpstreamTimeoutError
from completions_mw.http import Timeouts
from tests.backends.http.sides import HTTPX2, THREADS, Side, ask, asking, every_side
from tests.support.tls import TlsServer, read_request

BODY = b"x" * 300_000
"""More than a record of TLS, and than one read."""
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)
HASTE = Timeouts(connect=0.3)
"""For servers that never answer, so that no machine is too slow."""


def keep_answering(connection: socket.socket) -> None:
    while read_request(connection):
        connection.sendall(ANSWER)


def answer_once(connection: socket.socket) -> None:
    if read_request(connection):
        connection.sendall(ANSWER.replace(b"\r\n", b"\r\nconnection: close\r\n", 1))


@every_side
@pytest.mark.usefixtures("trusted")
def test_large_bodies_to_the_server_that_is_named(certificate: Path, on: Side) -> None:
    async def twice(transport: Transport) -> list[bytes]:
        return [await ask(transport, f"https://localhost:{server.port}/v1", BODY) for _ in range(2)]

    with TlsServer(certificate, keep_answering) as server:
        assert on(twice) == [BODY, BODY]
    connections = 2 if on in HTTPX2.values() else 1
    assert server.names == ["localhost"] * connections


def refusal(on: Side, url: str) -> ssl.SSLCertVerificationError:
    with pytest.raises(UpstreamError) as refused:
        on(asking(url))
    assert (refused.value.code, refused.value.status) == ("upstream_unreachable", 502)
    assert str(refused.value) == "The upstream provider could not be reached."
    assert isinstance(refused.value.__cause__, ssl.SSLCertVerificationError)
    return refused.value.__cause__


@every_side
def test_a_certificate_of_no_authority_is_refused(certificate: Path, on: Side) -> None:
    with TlsServer(certificate, keep_answering) as server:
        assert "self" in refusal(on, f"https://localhost:{server.port}/v1").verify_message


@every_side
@pytest.mark.usefixtures("trusted")
def test_a_certificate_of_another_name_is_refused(certificate: Path, on: Side) -> None:
    with TlsServer(certificate, keep_answering) as server:
        assert "mismatch" in refusal(on, f"https://127.0.0.1:{server.port}/v1").verify_message


@every_side
@pytest.mark.usefixtures("trusting_expired")
def test_a_certificate_that_has_expired_is_refused(expired: Path, on: Side) -> None:
    with TlsServer(expired, keep_answering) as server:
        assert "expired" in refusal(on, f"https://localhost:{server.port}/v1").verify_message


@every_side
def test_a_server_that_does_not_speak_tls(on: Side) -> None:
    async def hurry(transport: Transport) -> bytes:
        return await ask(transport, f"https://127.0.0.1:{server.getsockname()[1]}/v1", timeouts=HASTE)

    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(UpstreamTimeoutError) as late:
        on(hurry)
    assert late.value.next_target, "nothing was sent"


@every_side
@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("is_cut", [False, True], ids=["ended", "cut"])
def test_an_answer_until_close_that_somebody_on_the_way_cuts(certificate: Path, version: ssl.TLSVersion, is_cut: bool, on: Side) -> None:
    def until_close(connection: ssl.SSLSocket) -> None:
        if read_request(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nhi")
            if not is_cut:
                connection.unwrap()

    with TlsServer(certificate, until_close, version=version) as server:
        url = f"https://localhost:{server.port}/v1"
        if not is_cut:
            assert on(asking(url)) == [b"hi"]
            return
        with pytest.raises(UpstreamError) as cut:
            on(asking(url))
    assert cut.value.code == "upstream_disconnected"


@pytest.mark.usefixtures("trusted")
def test_a_new_connection_of_threads_goes_on_with_the_session_of_the_last_one(certificate: Path) -> None:
    with TlsServer(certificate, answer_once) as server:
        assert THREADS(asking(f"https://localhost:{server.port}/v1", times=3)) == [BODY] * 3
    assert server.reused == [False, True, True]


def test_the_environment_does_not_change_who_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")
    tls_context.cache_clear()
    context = tls_context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.cert_store_stats()["x509_ca"] > 0
