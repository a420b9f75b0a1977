"""Bodies that were answered from the cache are known, as many as fit."""

from threading import Lock

from completions_mw.core.cache import known
from completions_mw.core.cache.known import KnownBodies, KnownRequest
from completions_mw.core.costs import estimate_request
from completions_mw.core.validation import validate


def test_bodies_are_known_by_route_and_in_bounds() -> None:
    chat = validate({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
    request = KnownRequest.of(chat, estimate_request(chat, 1))
    bodies = KnownBodies(Lock())
    largest = b" " * known.MAX_BYTES
    for body in (largest, largest + b" ", *map(b"%d".__mod__, range(1, known.MAX_BODIES))):
        bodies.add("/chat", body, request)
    assert [bodies.find("/chat", body) for body in (largest, b"1")] == [request] * 2
    assert [bodies.find(*asked) for asked in (("/chat", largest + b" "), ("/other", b"1"), ("/cha", b"t\n1"))] == [None] * 3
    bodies.add("/chat", b"0", request)
    assert (bodies.find("/chat", largest), bodies.find("/chat", b"1")) == (None, request)
