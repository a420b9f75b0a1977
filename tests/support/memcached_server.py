"""A real Memcached on a port of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from shutil import which
from signal import SIGKILL

import pytest

from tests.support.process import Server, free_port, serve
from tests.support.redis_server import missing


class Memcached:
    """A running server."""

    def __init__(self, port: int, server: Server) -> None:
        self.server = server
        self.url = f"memcached://127.0.0.1:{port}"


@contextmanager
def memcached() -> Iterator[Memcached]:
    """Run a server until the end of the `with` block."""
    program = which("memcached")
    if program is None:
        missing("memcached")
    port = free_port()
    # As root it wants to be told whom to become.
    with serve([program, "-l", "127.0.0.1", "-p", str(port), "-u", "root", "-m", "16"], ready=port) as server:
        yield Memcached(port, server)
        # It holds nothing that matters, and takes its time to end.
        server.signal(SIGKILL)


@pytest.fixture
def memcached_server() -> Iterator[Memcached]:
    """A server for one test."""
    with memcached() as server:
        yield server
