"""Calls to upstreams over HTTP/1.1: the `Transport` port.

call.py                 one call without sockets: parser, bounds, deadlines, what ends an answer
request_head.py         requests as they stand on the wire, and where they go
transport.py            what both transports do: send, retry on a stale connection, give back
call_connection.py      `CallConnection`: what a connection of either transport does for a call
body.py                 `Body`: the body of an answer
blocking.py             `BlockingTransport`, for threads and greenlets
blocking_connection.py  its connections: sockets
connecting.py           the first address of an upstream that answers, for threads and greenlets
asynchronous.py         `AsyncTransport`, for event loops
async_connection.py     its connections: protocols of asyncio
lookups.py              the addresses of upstreams, for event loops
httpx2/                 both transports by another HTTP client, for proxies and HTTP/2
sockets.py              whether an idle connection is open and silent, and how long a read of one waits
failures.py             the failures of calls, as errors of the gateway
"""

from completions_mw.backends.http.asynchronous import AsyncTransport
from completions_mw.backends.http.blocking import BlockingTransport

__all__ = ["AsyncTransport", "BlockingTransport"]
