"""The bare relay on threads: as `bare_asgi`."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, cast

import httpcore2

from bench.apps.upstreams import CONNECTIONS, HEADERS, URL

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_URL = httpcore2.URL(f"{URL}/chat/completions")
_HEADERS = [(b"host", _URL.host), *((name.encode(), value.encode()) for name, value in HEADERS)]
_pool = httpcore2.ConnectionPool(max_connections=CONNECTIONS, keepalive_expiry=5.0)


def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    body = environ["wsgi.input"].read()
    request = httpcore2.Request("POST", _URL, headers=[*_HEADERS, (b"content-length", b"%d" % len(body))], content=body)
    response = _pool.handle_request(request)
    headers = {name.decode(): value.decode() for name, value in response.headers}
    start_response(f"{response.status} OK", [(name, headers[name]) for name in ("content-type", "content-length") if name in headers])
    return _pieces(response)


def _pieces(response: httpcore2.Response) -> Iterator[bytes]:
    try:
        yield from cast("Iterable[bytes]", response.stream)
    finally:
        response.close()
