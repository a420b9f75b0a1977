"""Requests as they stand on the wire, and where they go."""

import re
import ssl
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from completions_mw.http import Headers

MAX_KNOWN: Final = 256
"""Heads that are kept: one for each provider of the settings is enough."""
_PORTS: Final = {"http": 80, "https": 443}
_is_host = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?").fullmatch
_is_target = re.compile(r"/[\x21-\x7e]*").fullmatch
_is_name = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+").fullmatch
_is_value = re.compile(r"[\x20-\x7e\x80-\xff\t]*").fullmatch


class Origin(NamedTuple):
    """Where connections go. Those of one origin are shared by all requests to it."""

    is_tls: bool
    host: str
    port: int


class RequestHead(NamedTuple):
    """A request without its body: all but the length, which differs."""

    origin: Origin
    start: bytes
    """Up to the length of the body."""


@lru_cache(MAX_KNOWN)
def request_head(url: str, headers: Headers) -> RequestHead:
    """Return the head of POST requests.

    Args:
        url: with `http` or `https`, and no query.
        headers: names in lower case; `host`, `content-length` and `accept-encoding` are added.

    Raises:
        ValueError: the URL or a header holds what could be taken for something else; the text does not say what.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
    target = parts.path + (f"?{parts.query}" if parts.query else "") or "/"
    if not (port and _is_host(host) and _is_target(target)):
        raise ValueError("the URL of a request is not one that can be sent")
    if not all(_is_name(name) and _is_value(value) for name, value in headers):
        raise ValueError("a header of a request is not one that can be sent")
    netloc = f"[{host}]" if ":" in host else host
    lines = [
        f"POST {target} HTTP/1.1",
        f"host: {netloc}" if port == _PORTS[parts.scheme] else f"host: {netloc}:{port}",
        # Decoding could turn 200 KB into 200 MiB.
        "accept-encoding: identity",
        *(f"{name}: {value}" for name, value in headers),
        "content-length: ",
    ]
    return RequestHead(Origin(parts.scheme == "https", host, port), "\r\n".join(lines).encode("latin-1"))


@lru_cache(maxsize=1)
def tls_context() -> ssl.SSLContext:
    """Return the context of all TLS connections; variables of the environment do not change whom it trusts."""
    import httpx2

    return httpx2.create_ssl_context(trust_env=False)
