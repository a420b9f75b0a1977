"""Bodies that were answered from the cache are known, as many as fit."""

import pytest

from completions_mw import Caller
from completions_mw.backends.flights.blocking import BlockingFlights
from completions_mw.core.cache import known
from completions_mw.core.cache.known import KnownBodies, KnownRequest
from completions_mw.core.cache.scopes import Sharing
from completions_mw.core.costs import estimate_request
from completions_mw.core.validation import validate
from tests.support.forked import in_child

CHAT = validate({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
REQUEST = KnownRequest.of(CHAT, estimate_request(CHAT, 1))


def test_bodies_are_known_by_route_and_in_bounds() -> None:
    bodies = KnownBodies(BlockingFlights(), "tenant")
    largest = b" " * known.MAX_BYTES
    for body in (largest, largest + b" ", *map(b"%d".__mod__, range(1, known.MAX_BODIES))):
        bodies.add("/chat", None, body, REQUEST)
    assert [bodies.find("/chat", None, body) for body in (largest, b"1")] == [REQUEST] * 2
    assert [bodies.find(path, None, body) for path, body in (("/chat", largest + b" "), ("/other", b"1"), ("/cha", b"t\n1"))] == [None] * 3
    bodies.add("/chat", None, b"0", REQUEST)
    assert (bodies.find("/chat", None, largest), bodies.find("/chat", None, b"1")) == (None, REQUEST)


@pytest.mark.parametrize(("sharing", "known_to"), [("tenant", 2), ("key", 1)])
def test_bodies_are_known_to_those_who_share_answers(sharing: Sharing, known_to: int) -> None:
    """Else the time of a refusal would tell what another tenant has asked."""
    bodies = KnownBodies(BlockingFlights(), sharing)
    callers = [Caller("ada", "acme"), Caller("eve", "acme"), Caller("acme"), Caller("ada", scope="key"), Caller("eve", "other"), None]
    bodies.add("/chat", callers[0], b"{}", REQUEST)
    assert [bodies.find("/chat", caller, b"{}") for caller in callers] == [REQUEST] * known_to + [None] * (len(callers) - known_to)


def test_a_forked_child_does_not_wait_for_a_thread_of_its_parent() -> None:
    flights = BlockingFlights()
    bodies = KnownBodies(flights, "tenant")

    def add() -> bool:
        bodies.add("/chat", None, b"{}", REQUEST)
        return bodies.find("/chat", None, b"{}") is not None

    with flights.lock:
        assert in_child(add)
