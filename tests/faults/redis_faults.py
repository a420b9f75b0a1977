"""What can be wrong with Redis (docs/promises.md): each is so for the time of a `with` block, and all is well after it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import redis

from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until

PASSWORD = "canary-redis-password"


def address(port: int) -> str:
    return f"redis://:{PASSWORD}@127.0.0.1:{port}/0"


@contextmanager
def killed(server: RedisServer) -> Iterator[None]:
    server.kill()
    yield
    server.start()


@contextmanager
def stopped(server: RedisServer) -> Iterator[None]:
    server.stop()
    yield
    server.cont()


@contextmanager
def paused(server: RedisServer) -> Iterator[None]:
    server.command("CLIENT", "PAUSE", 60_000, "ALL")
    yield
    # Nobody else's command ends a pause.
    server.restart()


@contextmanager
def out_of_memory(server: RedisServer) -> Iterator[None]:
    server.command("CONFIG", "SET", "maxmemory", "1")
    yield
    server.command("CONFIG", "SET", "maxmemory", "0")


@contextmanager
def read_only(server: RedisServer) -> Iterator[None]:
    server.command("REPLICAOF", "127.0.0.1", "1")
    yield
    server.command("REPLICAOF", "NO", "ONE")


@contextmanager
def busy(server: RedisServer) -> Iterator[None]:
    server.command("CONFIG", "SET", "busy-reply-threshold", "1")
    thread = threading.Thread(target=_loop, args=(server,))
    thread.start()
    wait_until(lambda: _refuses(server))
    yield
    server.command("SCRIPT", "KILL")
    thread.join()


@contextmanager
def another_password(server: RedisServer) -> Iterator[None]:
    server.command("CONFIG", "SET", "requirepass", "another")
    with redis.Redis(port=server.port, password="another", protocol=2) as operator:
        operator.execute_command("CLIENT", "KILL", "TYPE", "normal")
        yield
        operator.execute_command("CONFIG", "SET", "requirepass", PASSWORD)


FAULTS = [killed, stopped, paused, out_of_memory, read_only, busy, another_password]


def _loop(server: RedisServer) -> None:
    with suppress(redis.ResponseError):
        server.command("EVAL", "while true do end", 0)


def _refuses(server: RedisServer) -> bool:
    try:
        server.command("PING")
    except redis.ResponseError:
        return True
    return False
