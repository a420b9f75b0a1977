"""The client leaves: the upstream is closed (docs/promises.md, Clients that leave)."""

import time
from collections.abc import Callable

import pytest

from tests.servers.client import StreamClient, chat, get
from tests.servers.conftest import Note, Running, Upstream
from tests.servers.kinds import every
from tests.support.rawhttp import RawClient

leaving = pytest.mark.parametrize("leave", [RawClient.close, RawClient.reset], ids=["fin", "rst"])
Leave = Callable[[RawClient], None]

KEEP_ALIVES_IN_VAIN = {True: 1, False: 3}
"""After the client left, by whether the server shows that. The one was on its way. Of the three the first is lost and the second fails,
which waitress says at the third.
"""


def leave_and_see(leave: Leave, client: RawClient, upstream: Upstream) -> float:
    """Return the seconds until the upstream's connection was closed."""
    before = time.monotonic()
    leave(client)
    return upstream.wait_closed().at - before


@every()
@leaving
def test_tokens_flow(server: Running, upstream: Upstream, leave: Leave, note: Note) -> None:
    with StreamClient(server.port) as client:
        client.ask("endless")
        client.start()
        client.next_event()
        note(f"{server.kind.id}: client gone, tokens flowing", leave_and_see(leave, client, upstream))


@every()
@leaving
def test_upstream_is_silent(server: Running, upstream: Upstream, leave: Leave, note: Note) -> None:
    before = keep_alives_given(server)
    with StreamClient(server.port) as client:
        client.ask("stall-2")
        client.start()
        client.next_keep_alive()
        note(f"{server.kind.id}: client gone, upstream silent", leave_and_see(leave, client, upstream))
    assert keep_alives_given(server) - before - 1 <= KEEP_ALIVES_IN_VAIN[server.kind.shows_leaving]


def keep_alives_given(server: Running) -> int:
    """Return how many keep-alives our WSGI app gave its server; an ASGI server learns nothing by them, so nobody counts."""
    return int(get(server.port, "/keep-alives")) if server.kind.interface == "wsgi" else 0


@every(where=lambda kind: kind.shows_leaving)
@leaving
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "json"])
def test_before_the_first_byte(server: Running, upstream: Upstream, leave: Leave, stream: bool, note: Note) -> None:
    with RawClient(server.port) as client:
        client.send(chat("ttfb", stream=stream))
        upstream.wait_for(lambda: upstream.active_requests == 1)
        note(f"{server.kind.id}: client gone, before the first byte", leave_and_see(leave, client, upstream))


@every(where=lambda kind: kind.shows_leaving)
@leaving
def test_in_the_middle_of_a_plain_answer(server: Running, upstream: Upstream, leave: Leave, note: Note) -> None:
    with RawClient(server.port) as client:
        client.send(chat("stall-1"))
        upstream.wait_for(lambda: upstream.active_requests == 1)
        note(f"{server.kind.id}: client gone, within a plain answer", leave_and_see(leave, client, upstream))


@every()
@leaving
def test_after_that_all_is_well(server: Running, upstream: Upstream, leave: Leave) -> None:
    with RawClient(server.port) as client:
        client.send(chat("ttfb"))
        upstream.wait_for(lambda: upstream.active_requests == 1)
        leave(client)
        upstream.release()
    with StreamClient(server.port) as client:
        client.ask("ok")
        client.start()
        assert client.rest_of_events()[-1] == "[DONE]"
