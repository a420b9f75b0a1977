"""Connections to upstreams are encrypted for whom they name (docs/promises.md, Secrets)."""

import asyncio
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import uvloop

from completions_mw.backends.http import AsyncTransport, BlockingTransport
from completions_mw.backends.http.request_head import tls_context
from completions_mw.blocking import run_sync
from completions_mw.core.ports import Transport
from completions_mw.errors import UpstreamError
from completions_mw.http import UpstreamRequest

BODY = b"x" * 300_000
"""More than a record of TLS, and than one read."""


def on_asyncio(work: Callable[[Transport], object]) -> object:
    return asyncio.run(work(AsyncTransport()))  # type: ignore[arg-type]


def on_uvloop(work: Callable[[Transport], object]) -> object:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work(AsyncTransport()))  # type: ignore[arg-type]


def on_a_thread(work: Callable[[Transport], object]) -> object:
    return run_sync(work(BlockingTransport()))  # type: ignore[arg-type]


every_side = pytest.mark.parametrize("on", [on_a_thread, on_asyncio, on_uvloop], ids=["blocking", "asyncio", "uvloop"])


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    connections = 0

    def setup(self) -> None:
        super().setup()
        Answers.connections += 1

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost with its key, which no authority has signed."""
    file = tmp_path_factory.mktemp("tls") / "localhost.pem"
    options = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(["openssl", "req", *options, "-keyout", file, "-out", f"{file}.crt"], check=True, capture_output=True)
    file.write_bytes(file.read_bytes() + Path(f"{file}.crt").read_bytes())
    return file


@pytest.fixture
def port(certificate: Path) -> Iterator[int]:
    Answers.connections = 0
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.create_default_context(cafile=certificate)
    for side in ("blocking", "asynchronous"):
        monkeypatch.setattr(f"completions_mw.backends.http.{side}.tls_context", lambda: context)


async def ask(transport: Transport, host: str, port: int) -> bytes:
    response = await transport.send(UpstreamRequest(f"https://{host}:{port}/v1", (), BODY))
    pieces = []
    try:
        while True:
            pieces.append(await response.body.__anext__())
    except StopAsyncIteration:
        return b"".join(pieces)


@every_side
@pytest.mark.usefixtures("trusted")
def test_large_bodies_over_one_connection(port: int, on: Callable[..., object]) -> None:
    async def twice(transport: Transport) -> list[bytes]:
        answers = [await ask(transport, "localhost", port), await ask(transport, "localhost", port)]
        await transport.aclose()
        return answers

    assert on(twice) == [BODY, BODY]
    assert Answers.connections == 1


@every_side
def test_a_certificate_of_no_authority_is_refused(port: int, on: Callable[..., object]) -> None:
    with pytest.raises(UpstreamError) as refused:
        on(lambda transport: ask(transport, "localhost", port))
    assert refused.value.code == "upstream_unreachable"
    assert isinstance(refused.value.__cause__, ssl.SSLCertVerificationError)


@every_side
@pytest.mark.usefixtures("trusted")
def test_a_certificate_of_another_name_is_refused(port: int, on: Callable[..., object]) -> None:
    with pytest.raises(UpstreamError) as refused:
        on(lambda transport: ask(transport, "127.0.0.1", port))
    assert isinstance(refused.value.__cause__, ssl.SSLCertVerificationError)


def test_the_environment_does_not_change_who_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")
    tls_context.cache_clear()
    context = tls_context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.cert_store_stats()["x509_ca"] > 0
