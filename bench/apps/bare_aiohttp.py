"""The bare relay over aiohttp, for comparison: as `bare_asgi`, without our deadlines and bounds."""

import gc

import aiohttp

from bench.apps.asgi import Receive, Scope, Send, read_body
from bench.apps.upstreams import CONNECTIONS, HEADERS, URL

_sessions: list[aiohttp.ClientSession] = []


def _session() -> aiohttp.ClientSession:
    if not _sessions:
        # It wants the running event loop.
        _sessions.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS), auto_decompress=False, trust_env=False))
    return _sessions[0]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    body = await read_body(receive)
    async with _session().post(f"{URL}/chat/completions", headers=dict(HEADERS), data=body) as response:
        found = [(name.lower().encode(), value.encode()) for name, value in response.headers.items()]
        headers = [header for header in found if header[0] in (b"content-type", b"content-length")]
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        async for piece in response.content.iter_any():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


gc.freeze()
