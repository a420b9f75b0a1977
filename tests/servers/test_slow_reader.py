"""A client that does not read: it stops the upstream instead of filling our memory (docs/promises.md, Bounds)."""

import psutil

from tests.servers.client import StreamClient, chat, content_of
from tests.servers.conftest import Running, Upstream
from tests.servers.kinds import every
from tests.support.rawhttp import RawClient

MIB = 1024 * 1024
PRODUCED = 48 * MIB
"""Kernel buffers and what the server itself holds: waitress keeps 18 MiB, the others 1 to 3 (docs/promises.md, Bounds)."""
GROWTH = 16 * MIB


def memory(server: Running) -> int:
    """Return the bytes that the server and its workers have in memory."""
    return sum(psutil.Process(pid).memory_info().rss for pid in (server.process.pid, *server.process.children()))


@every()
def test_client_that_does_not_read_stops_the_upstream_and_is_given_up(server: Running, upstream: Upstream) -> None:
    with RawClient(server.port) as client:
        assert content_of(client.exchange(chat())) == "hello"
    before = memory(server)
    with StreamClient(server.port, receive_buffer=4096) as stuck:
        stuck.ask("gush")
        stuck.start()
        assert stuck.next_event() is not None
        assert upstream.gush.blocked.wait(30)
        assert upstream.gush.sent < PRODUCED
        assert memory(server) - before < GROWTH
        # Not because it leaves: it takes nothing for `send_timeout`.
        upstream.wait_closed()
