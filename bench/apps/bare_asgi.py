"""The bare relay over our transport, or another one behind its port, and nothing else of ours: the baseline."""

import gc

from bench.apps.asgi import Receive, Scope, Send, read_body
from bench.apps.upstreams import HEADERS, URL, built_in, transport
from completions_mw.http import UpstreamRequest

_transport = transport(blocking=False) or built_in(blocking=False)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    response = await _transport.send(UpstreamRequest(f"{URL}/chat/completions", HEADERS, await read_body(receive)))
    headers = [(name.encode(), value.encode()) for name, value in response.headers if name in ("content-type", "content-length")]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    try:
        while True:
            piece = await response.body.__anext__()
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    except StopAsyncIteration:
        pass
    finally:
        await response.body.aclose()
    await send({"type": "http.response.body", "body": b""})


gc.freeze()
