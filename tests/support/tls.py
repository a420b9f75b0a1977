"""Certificates that no authority has signed, and servers that show them."""

import socket
import ssl
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from tests.support.threaded_server import ThreadedServer


def make_certificate(folder: Path, name: str, *, has_expired: bool = False) -> Path:
    """Return a file with a certificate for the host `name`, and its key."""
    key, request, certificate = folder / f"{name}.key", folder / f"{name}.csr", folder / f"{name}-{has_expired}.pem"
    subject = folder / f"{name}.ext"
    subject.write_text(f"subjectAltName=DNS:{name}\n")
    days = "-1" if has_expired else "2"
    commands: tuple[list[str | Path], ...] = (
        [
            "req",
            "-new",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-subj",
            f"/CN={name}",
            "-keyout",
            key,
            "-out",
            request,
        ],
        ["x509", "-req", "-in", request, "-signkey", key, "-days", days, "-extfile", subject, "-out", certificate],
    )
    for command in commands:
        subprocess.run(["openssl", *command], check=True, capture_output=True)
    certificate.write_bytes(key.read_bytes() + certificate.read_bytes())
    return certificate


class TlsServer(ThreadedServer):
    """Serves the connections to a free port of 127.0.0.1, each in a thread, for the time of a `with` block.

    Args:
        certificate: file with a certificate and its key.
        serve: is called with each connection, which is closed when it returns.
        alpn: protocols that the server speaks.
        version: newest version of TLS that it speaks.
    """

    def __init__(
        self,
        certificate: Path,
        serve: Callable[[ssl.SSLSocket], None],
        *,
        alpn: Sequence[str] = (),
        version: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED,
    ) -> None:
        super().__init__()
        self.names: list[str | None] = []
        """Which host each client has asked for."""
        self.reused: list[bool | None] = []
        """Whether each connection goes on with the session of an earlier one."""
        self._serve = serve
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._context.maximum_version = version
        self._context.sni_callback = lambda _, name, __: self.names.append(name)
        if alpn:
            self._context.set_alpn_protocols(list(alpn))

    def serve_connection(self, connection: socket.socket) -> None:
        with connection, suppress(OSError), self._context.wrap_socket(connection, server_side=True) as encrypted:
            self.reused.append(encrypted.session_reused)
            self._serve(encrypted)


def read_head(connection: socket.socket) -> tuple[bytes, bytes]:
    """Return the head of a message in HTTP/1.1 with its empty line, and what has come behind it; nothing at the end of the connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return b"", b""
        data += piece
    end = data.index(b"\r\n\r\n") + 4
    return data[:end], data[end:]


def read_request(connection: socket.socket) -> bytes:
    """Return the head of a request in HTTP/1.1, whose body is read too; nothing at the end of the connection."""
    head, body = read_head(connection)
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or b"0")
    while len(body) < length:
        body += connection.recv(65536)
    return head
