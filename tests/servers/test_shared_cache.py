"""A thousand identical requests over servers of both kinds are one call of the upstream, also while leaders and Redis are killed."""

import asyncio
import contextlib
import json
from collections.abc import Iterator
from typing import NamedTuple

import psutil
import pytest

from tests.servers.apps import KEY
from tests.servers.conftest import Running, Start, Upstream
from tests.servers.fleet import models
from tests.servers.kinds import GUNICORN_GTHREAD, UVICORN_HTTPTOOLS
from tests.servers.patience import STORE_PATIENCE
from tests.servers.test_shared_places import busy_workers, kill_workers
from tests.support.redis_server import RedisServer, private_redis
from tests.support.waiting import wait_until

__all__ = ["private_redis"]

pytestmark = pytest.mark.soak
"""Six workers and a thousand clients: minutes on a busy machine."""

REQUESTS = 1000
LEASE_SECONDS = 3.0
PATIENCE = 120.0


class Outcome(NamedTuple):
    """What one client was answered."""

    status: int
    """0 for a connection that broke."""
    cache: str
    is_whole: bool
    body: bytes


async def _ask(port: int, request: bytes) -> Outcome:
    received = b""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        received = await reader.read()
        writer.close()
        await writer.wait_closed()
    except OSError:
        pass
    head, _, body = received.partition(b"\r\n\r\n")
    lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    is_whole = body.endswith(b"0\r\n\r\n") if b"transfer-encoding" in lines else len(body) == int(lines.get(b"content-length", b"-1"))
    is_whole = is_whole and b'"error"' not in body
    return Outcome(int(head.split(b" ")[1]) if head else 0, lines.get(b"x-cache", b"").decode(), is_whole, body)


def request(model: str, *, stream: bool) -> bytes:
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}], "temperature": 0, "stream": stream}).encode()
    lines = ["POST /api/v1/chat/completions HTTP/1.1", "Host: test", f"Authorization: Bearer {KEY}", "Content-Type: application/json"]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "Connection: close", "", ""]).encode() + body


class Crowd:
    """Clients that ask at the same time, in an event loop of their own thread."""

    def __init__(self, servers: list[Running]) -> None:
        self._servers = servers

    async def ask(self, count: int, model: str) -> list[Outcome]:
        ports = [server.port for server in self._servers]
        asked = [_ask(ports[number % len(ports)], request(model, stream=number % 3 > 0)) for number in range(count)]
        return await asyncio.wait_for(asyncio.gather(*asked), PATIENCE)


@contextlib.contextmanager
def servers(start: Start, redis: RedisServer) -> Iterator[list[Running]]:
    """Run four workers of gunicorn and two of uvicorn that share a cache."""
    settings = json.dumps(
        {
            "stores": {"cache": f"{redis.url}?socket_timeout={STORE_PATIENCE}"},
            "cache": {"enabled": True, "lease_ttl": LEASE_SECONDS},
            "models": models("ttfb", "stall-2"),
        }
    )
    with (
        start(GUNICORN_GTHREAD, "--workers", "4", "--threads", "200", "--backlog", "2048", SETTINGS=settings) as one,
        start(UVICORN_HTTPTOOLS, "--workers", "2", SETTINGS=settings) as other,
    ):
        yield [one, other]


def connections(running: list[Running]) -> int:
    """Return how many clients the servers have."""
    processes = [psutil.Process(pid) for server in running for pid in server.process.children()]
    ports = {server.port for server in running}
    ends = [end for process in processes for end in process.net_connections("tcp4")]
    return sum(end.laddr[1] in ports and end.status == psutil.CONN_ESTABLISHED for end in ends)


def test_a_thousand_requests_are_one_call(start: Start, upstream: Upstream, private_redis: RedisServer) -> None:
    async def scenario(crowd: Crowd, running: list[Running]) -> list[Outcome]:
        asking = asyncio.create_task(crowd.ask(REQUESTS, "ttfb"))
        await asyncio.to_thread(wait_until, lambda: connections(running) >= REQUESTS * 0.9, PATIENCE)
        upstream.release()
        return await asking

    with servers(start, private_redis) as running:
        outcomes = asyncio.run(scenario(Crowd(running), running))
    assert [outcome for outcome in outcomes if outcome.status != 200 or not outcome.is_whole] == []
    assert len(upstream.requests) == 1
    assert sum(outcome.cache == "miss" for outcome in outcomes) == 1


@pytest.mark.parametrize("kills_redis", [False, True], ids=["redis lives", "redis dies"])
def test_a_leader_that_is_killed_fails_nobody_else(start: Start, upstream: Upstream, private_redis: RedisServer, kills_redis: bool) -> None:
    async def scenario(crowd: Crowd, running: list[Running]) -> tuple[list[Outcome], int]:
        asking = asyncio.create_task(crowd.ask(REQUESTS, "stall-2"))
        await asyncio.to_thread(wait_until, lambda: connections(running) >= REQUESTS * 0.9, PATIENCE)
        leading = next(server for server in running if any(_is_calling(pid, upstream) for pid in server.process.children()))
        [leader] = await asyncio.to_thread(busy_workers, leading, upstream)
        own = sum(end.laddr[1] == leading.port for end in psutil.Process(leader).net_connections("tcp4"))
        if kills_redis:
            private_redis.kill()
        await asyncio.to_thread(kill_workers, leading, [leader])
        upstream.release()
        return await asking, own

    with servers(start, private_redis) as running:
        outcomes, lost = asyncio.run(scenario(Crowd(running), running))
    failed = [outcome for outcome in outcomes if outcome.status != 200 or not outcome.is_whole]
    assert all(outcome.status == 0 or not outcome.is_whole for outcome in failed), "those of the killed worker, and nobody else"
    assert len(failed) <= lost
    # Without Redis each process calls once.
    assert len(upstream.requests) <= (7 if kills_redis else 2)


def _is_calling(pid: int, upstream: Upstream) -> bool:
    return any(end.raddr[1:] == (upstream.port,) for end in psutil.Process(pid).net_connections("tcp4"))
