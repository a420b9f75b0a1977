"""Calls to upstreams over HTTP: the `Transport` port over httpcore2, the engine of httpx2.

blocking.py      `BlockingTransport`, and sockets that notice a client that leaves
asynchronous.py  `AsyncTransport`, and sockets of event loops
messages.py      requests to httpcore2, its answers, and their bodies, piece by piece
call.py          one call and its connection: deadlines, bounds, progress
failures.py      turns exceptions of httpcore2 into errors of the gateway

httpcore2 is used without httpx2's client: redirects, cookies, proxies, decompression and environment variables do not exist at its level.
The logic is written once, as `async def`; the blocking transport runs it over inline I/O (see `completions_mw.blocking`).
"""

from completions_mw.backends.http.asynchronous import AsyncTransport
from completions_mw.backends.http.blocking import BlockingTransport

__all__ = ["AsyncTransport", "BlockingTransport"]
