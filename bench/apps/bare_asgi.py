"""The bare relay on an event loop: the transport's engine (httpcore2) without anything of ours around it, or the port of another."""

from collections.abc import AsyncIterable
from typing import cast

import httpcore2

from bench.apps.asgi import Receive, Scope, Send, read_body
from bench.apps.upstreams import CONNECTIONS, HEADERS, URL

_URL = httpcore2.URL(f"{URL}/chat/completions")
_HEADERS = [(b"host", _URL.host), *((name.encode(), value.encode()) for name, value in HEADERS)]
_pool: list[httpcore2.AsyncConnectionPool] = []


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    body = await read_body(receive)
    request = httpcore2.Request("POST", _URL, headers=[*_HEADERS, (b"content-length", b"%d" % len(body))], content=body)
    response = await _open_pool().handle_async_request(request)
    headers = dict(response.headers)
    passed = [(name, headers[name]) for name in (b"content-type", b"content-length") if name in headers]
    await send({"type": "http.response.start", "status": response.status, "headers": passed})
    try:
        async for piece in cast("AsyncIterable[bytes]", response.stream):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    finally:
        await response.aclose()
    await send({"type": "http.response.body", "body": b""})


def _open_pool() -> httpcore2.AsyncConnectionPool:
    if not _pool:
        # A pool belongs to the event loop that it is first used on.
        _pool.append(httpcore2.AsyncConnectionPool(max_connections=CONNECTIONS, keepalive_expiry=5.0))
    return _pool[0]
