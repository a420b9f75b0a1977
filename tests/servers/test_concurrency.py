"""The same core under threads, greenlets and event loops: many streams at once, none lost or mixed up (docs/promises.md)."""

import contextlib

import pytest

from tests.servers.client import StreamClient, text_of
from tests.servers.conftest import Running, Upstream
from tests.servers.kinds import GUNICORN_GEVENT, UVICORN_H11, every


def run_streams(server: Running, upstream: Upstream, count: int) -> None:
    """Have `count` streams under way at the same time, and read each to its end."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(StreamClient(server.port, timeout=60)) for _ in range(count)]
        for number, client in enumerate(clients):
            client.ask("stall-2", f"nonce {number} of {count}")
        upstream.wait_for(lambda: upstream.active_requests == count, timeout=60)
        for client in clients:
            client.start()
            assert client.next_event() is not None
        upstream.release()
        texts = [text_of(client.rest_of_events()) for client in clients]
    assert texts == [f"nonce {number} of {count}" for number in range(count)]
    assert (upstream.most_active_requests, upstream.closed) == (count, [])


@every(where=lambda kind: kind.concurrent)
def test_fifty_streams(server: Running, upstream: Upstream) -> None:
    run_streams(server, upstream, 50)


@pytest.mark.soak
@every((GUNICORN_GEVENT, UVICORN_H11))
def test_a_thousand_streams(server: Running, upstream: Upstream) -> None:
    run_streams(server, upstream, 1000)
