"""Calls to upstreams over HTTP: the `Transport` port.

transport.py     `BlockingTransport` and `AsyncTransport`
call.py          one call and its connection: deadlines, bounds, progress
blocking.py      sockets for threads and greenlets, which notice a client that leaves
asynchronous.py  sockets for event loops
body.py          the body of an answer, piece by piece
failures.py      turns exceptions of httpcore2 into errors of the gateway
"""

from completions_mw.backends.http.transport import AsyncTransport, BlockingTransport

__all__ = ["AsyncTransport", "BlockingTransport"]
