"""httpx2's engine, as both transports use it: its options, its requests, the heads of its answers, and its failures."""

import logging
import socket
import ssl
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, Final, cast
from urllib.parse import unquote, urlsplit

import httpcore2
import httpx2

from completions_mw.backends.http.call import MAX_IDLE_BYTES
from completions_mw.backends.http.failures import connect_timed_out, not_connected
from completions_mw.backends.http.request_head import Origin

_SPEAKS_HTTP2: Final = find_spec("h2") is not None
_FRAMING: Final = {b"connection", b"content-length", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
"""Headers about the framing of an answer, which is chunked when it is written anew."""


def _name_only(record: logging.LogRecord) -> bool:
    """Cut a log record down to the name of its event: at DEBUG the engine writes heads, and quotes what is not HTTP."""
    record.msg, record.args = str(record.msg).partition(" ")[0], ()
    return True


for _name in ("httpcore2.connection", "httpcore2.http11", "httpcore2.http2", "httpcore2.proxy", "hpack.hpack", "hpack.table"):
    logging.getLogger(_name).addFilter(_name_only)


@lru_cache(maxsize=1)
def tls_context() -> ssl.SSLContext:
    """Return the context of the engine's TLS connections: not that of the others, since the engine sets the protocols that it offers."""
    return httpx2.create_ssl_context(trust_env=False)


def engine_options(proxy: str | None) -> dict[str, Any]:
    """Return the options of an engine that has one connection.

    Args:
        proxy: URL of the HTTP proxy; None for a direct connection.
    """
    options: dict[str, Any] = {"ssl_context": tls_context(), "max_connections": 1, "http2": _SPEAKS_HTTP2}
    if proxy is not None:
        parts = urlsplit(proxy)
        auth = (unquote(parts.username or ""), unquote(parts.password or "")) if "@" in parts.netloc else None
        options["proxy"] = httpcore2.Proxy(httpcore2.URL(scheme="http", host=parts.hostname or "", port=parts.port, target="/"), auth)
    return options


def engine_request(origin: Origin, head: bytes, body: bytes, trace: Callable[..., object]) -> httpcore2.Request:
    """Return a request for the engine.

    Args:
        origin: where the request goes.
        head: head of the request in HTTP/1.1.
        body: body of the request.
        trace: is told of each event of the engine.
    """
    start, *lines = head[:-4].split(b"\r\n")
    url = httpcore2.URL(scheme="https" if origin.is_tls else "http", host=origin.host, port=origin.port, target=start.split(b" ")[1])
    headers = [cast("tuple[bytes, bytes]", tuple(line.split(b": ", 1))) for line in lines]
    return httpcore2.Request("POST", url, headers=headers, content=body, extensions={"trace": trace})


def is_sent(event: str, info: dict[str, Any]) -> bool:
    """Return whether an event of the engine says that the request itself is sent now: there is a connection, through the proxy if any."""
    return event.endswith("send_request_headers.started") and info["request"].method == b"POST"


def head_of(response: httpcore2.Response) -> bytes:
    """Return the head of an answer in HTTP/1.1."""
    headers = [(name, value) for name, value in response.headers if name.lower() not in _FRAMING]
    if any(b"\n" in value or b"\r" in value for _, value in headers):
        # HTTP/2 can carry what would be two headers here.
        raise httpcore2.RemoteProtocolError
    ending = b"" if response.extensions["http_version"] == b"HTTP/2" else b"connection: close\r\n"
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return b"HTTP/1.1 %d \r\n%btransfer-encoding: chunked\r\n%b\r\n" % (response.status, lines, ending)


class Network:
    """The network of one engine: its one connection, once that is made."""

    idle_bytes = 0
    """Bytes that have come without bringing the answer forward, as floods of informational responses do."""
    _socket: socket.socket | None = None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()

    @property
    def _connected(self) -> socket.socket:
        assert self._socket is not None
        return self._socket

    def _count(self, data: bytes) -> bytes:
        self.idle_bytes += len(data)
        if self.idle_bytes > 2 * MAX_IDLE_BYTES:
            raise httpcore2.RemoteProtocolError
        return data


def connect_failure(error: Exception) -> Exception:
    """Return the failure of a call whose engine raised `error` before it sent the request."""
    reason = error if isinstance(error, OSError) else OSError()
    failure = connect_timed_out() if isinstance(error, TimeoutError) else not_connected(reason)
    # Others quote what a proxy said.
    failure.__cause__ = reason
    return failure
