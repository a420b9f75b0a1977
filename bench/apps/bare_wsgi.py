"""The bare relay over a blocking transport: as `bare_asgi`."""

import gc
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from bench.apps.upstreams import HEADERS, URL, built_in, transport
from completions_mw.blocking import run_sync
from completions_mw.http import UpstreamBody, UpstreamRequest

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_transport = transport(blocking=True) or built_in(blocking=True)


def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    body = environ["wsgi.input"].read()
    response = run_sync(_transport.send(UpstreamRequest(f"{URL}/chat/completions", HEADERS, body)))
    start_response(f"{response.status} OK", [header for header in response.headers if header[0] in ("content-type", "content-length")])
    return _pieces(response.body)


def _pieces(body: UpstreamBody) -> Iterator[bytes]:
    try:
        while True:
            try:
                yield run_sync(_next(body))
            except StopAsyncIteration:
                return
    finally:
        run_sync(body.aclose())


async def _next(body: UpstreamBody) -> bytes:
    return await body.__anext__()


gc.freeze()
