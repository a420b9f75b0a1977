"""Calls to upstreams by httpx2's engine, for what the transports of `backends.http` do not have: HTTP proxies and HTTP/2.

The engine's answers are written as they would stand on the wire in HTTP/1.1, and are read by the connections of those transports: all
bounds, deadlines and promises are theirs. A connection is an engine of its own. It is kept only in HTTP/2, where no byte can be taken for
another call's: in HTTP/1.1 the engine does not tell what has come behind an answer.

engine.py        the options, requests and failures of the engine, and the heads of its answers
blocking.py      `BlockingHttpx2Transport`: threads and greenlets
asynchronous.py  `AsyncHttpx2Transport`: event loops
"""
