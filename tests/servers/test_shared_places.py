"""Requests at the same time: the limit holds for all workers together, also while they are killed (docs/promises.md, Limits)."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from random import Random
from typing import NamedTuple

import psutil
import pytest

from tests.servers.apps import KEY
from tests.servers.client import chat
from tests.servers.conftest import ROOT, Running, Start, Upstream
from tests.servers.fleet import PATIENCE, fleet, models, sharing
from tests.servers.kinds import GUNICORN_GTHREAD
from tests.support.rawhttp import RawClient
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until

pytestmark = pytest.mark.soak
"""Real servers are stopped, and time passes: minutes, and more on a busy machine."""

LIMIT = 10
SLOT = "{completions_mw}:slot:key:team:concurrency"
MOST_PLACES = 8
"""So many are taken when a worker is killed."""


class Size(NamedTuple):
    """How much is done."""

    clients: int
    kills: int
    lease: float
    """Seconds; long enough that workers which have far too much to do still renew in time."""


@contextlib.contextmanager
def crowd(port: int, clients: int) -> Iterator[dict[str, int]]:
    """Let so many clients ask for what takes long; what they were answered is known after the `with` block."""
    outcomes: dict[str, int] = {}
    command = [sys.executable, "-m", "tests.servers.crowd", str(port), str(clients), "held"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield outcomes
        output, _ = process.communicate(timeout=PATIENCE)
        outcomes.update(json.loads(output))
    finally:
        process.kill()
        process.communicate()


def busy_workers(server: Running, upstream: Upstream) -> list[int]:
    """Return the ids of the workers that have connections to the upstream, as soon as there is one."""
    found: list[int] = []

    def look() -> bool:
        processes = [psutil.Process(pid) for pid in server.process.children()]
        of_each = {process.pid: process.net_connections("tcp4") for process in processes}
        found.extend(pid for pid, ends in of_each.items() if any(end.raddr[1:] == (upstream.port,) for end in ends))
        return bool(found)

    wait_until(look)
    return found


def kill_workers(server: Running, pids: list[int]) -> None:
    """`kill -9`, and wait until they are gone."""
    processes = [psutil.Process(pid) for pid in pids]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    psutil.wait_procs(processes, timeout=PATIENCE)
    assert server.process.running()


def leases_until(redis: RedisServer) -> list[float]:
    """Return in how many milliseconds each of the leases ends that hold."""
    seconds, microseconds = redis.command("TIME")
    now = int(seconds) * 1000 + int(microseconds) / 1000
    scores = redis.command("ZRANGEBYSCORE", SLOT, f"({now:.0f}", "+inf", "WITHSCORES")[1::2]
    return [float(score) - now for score in scores]


@contextlib.contextmanager
def all_places(server: Running, upstream: Upstream) -> Iterator[list[RawClient]]:
    """Take all places, by a client each, which has sent its request and not read the answer."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawClient(server.port, timeout=PATIENCE)) for _ in range(LIMIT)]
        for client in clients:
            client.send(chat("held"))

        def are_taken() -> bool:
            # Requests whose clients have left may come before ours, and be there for a moment.
            for client in clients:
                if select.select([client.socket], [], [], 0)[0]:
                    assert client.read_answer().status == 429
                    client.send(chat("held"))
            return upstream.active_requests == LIMIT

        wait_until(are_taken, timeout=PATIENCE)
        yield clients


@pytest.mark.parametrize(
    "size", [pytest.param(Size(60, 3, lease=2), id="quick"), pytest.param(Size(500, 30, lease=5), id="full", marks=pytest.mark.soak)]
)
def test_places_of_killed_workers(size: Size, start: Start, upstream: Upstream, redis_server: RedisServer) -> None:
    random = Random(size.kills)
    keys = {"team": {"secret": KEY, "limits": {"concurrency": LIMIT}}}
    settings = sharing(redis_server, lease_ttl=size.lease, keys=keys, models=models("held"))
    with fleet(start, GUNICORN_GTHREAD, settings, servers=1, workers=4) as running:
        (server,) = running.servers
        with crowd(server.port, size.clients) as outcomes:
            for _ in range(size.kills):
                # Those of the dead stay taken until their leases end.
                upstream.wait_for(lambda: upstream.active_requests >= MOST_PLACES, timeout=PATIENCE)
                kill_workers(server, [random.choice(busy_workers(server, upstream))])
                upstream.let_go(random.randint(1, LIMIT // 2))
            upstream.wait_for(lambda: upstream.active_requests >= LIMIT, timeout=PATIENCE)
            # Before the clients leave: whoever follows one that left may reach the upstream before the end of its connection does.
            most = upstream.held.most
        assert most == LIMIT
        assert len(upstream.closed) >= size.kills / 2
        assert set(outcomes) == {"0", "200", "429"}
        wait_until(lambda: not leases_until(redis_server))
        check_that_the_dead_hold_nothing(server, upstream, redis_server, size.lease)


def check_that_the_dead_hold_nothing(server: Running, upstream: Upstream, redis: RedisServer, lease: float) -> None:
    """Let all workers die at once, with all places, and others take these after the leases."""
    upstream.begin()
    with all_places(server, upstream):
        kill_workers(server, server.process.children())
    left = leases_until(redis)
    assert len(left) == LIMIT
    assert max(left) <= lease * 1000
    wait_until(lambda: not leases_until(redis))
    upstream.wait_for(lambda: upstream.active_requests == 0)
    with all_places(server, upstream) as clients, RawClient(server.port, timeout=PATIENCE) as another:
        assert another.exchange(chat("held")).status == 429
        upstream.let_go()
        assert {client.read_answer().status for client in clients} == {200}
    assert upstream.held.most == LIMIT
