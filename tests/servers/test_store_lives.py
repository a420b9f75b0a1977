"""The life of server processes that have stores: forks, restarts, greenlets, and ends with open streams (docs/promises.md)."""

import contextlib
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from completions_mw import Gateway
from tests.servers.apps import KEY
from tests.servers.client import StreamClient, chat, content_of, get
from tests.servers.conftest import Start, Upstream
from tests.servers.fleet import PATIENCE, Fleet, books, fleet, models, sharing
from tests.servers.kinds import GUNICORN_GEVENT, GUNICORN_GTHREAD, UVICORN_HTTPTOOLS, Kind
from tests.servers.test_restarts import run_forking
from tests.support.postgres_server import PostgresServer
from tests.support.rawhttp import RawClient
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until

pytestmark = pytest.mark.soak
"""Real servers are stopped, and time passes: minutes, and more on a busy machine."""

PRICES = {"input": "1", "output": "1"}
STREAMS = 8
SLOT = "{completions_mw}:slot:key:team:concurrency"


def team(**limits: Any) -> dict[str, Any]:
    """Return the table of keys: one that meets every kind of limit."""
    usual = {"requests": "1000/hour", "tokens": "10000000/hour", "concurrency": 100, **limits}
    return {"team": {"secret": KEY, "limits": usual, "budget": {"usd": "1000", "period": "total"}}}


def stores(redis: RedisServer, ledger: str, *names: str, lease_ttl: float = 3.0, **limits: Any) -> str:
    """Return settings with which every request holds something in every store."""
    limited = models(*names, prices=PRICES, limits={"requests": "100000/hour"})
    return sharing(redis, ledger, lease_ttl=lease_ttl, keys=team(**limits), models=limited)


def nothing_is_held(redis: RedisServer, reader: Gateway) -> bool:
    return redis.command("ZCARD", SLOT) == 0 and [balance.reserved for balance in reader.balances("team")] == [0]


def requests_of(reader: Gateway) -> dict[str, int]:
    """Return how many requests the ledger has of each key."""
    return {row.group: row.requests for row in reader.usage("key")}


@pytest.mark.parametrize("kind", [GUNICORN_GTHREAD, GUNICORN_GEVENT], ids=lambda kind: kind.id)
def test_stores_in_use_before_the_workers_are_forked(
    kind: Kind, start: Start, upstream: Upstream, redis_server: RedisServer, ledger: str
) -> None:
    settings = stores(redis_server, ledger, "ok", requests="30/hour")
    with fleet(start, kind, settings, "--preload", servers=1, USE_AT_IMPORT="yes") as servers, books(ledger) as reader:
        answers = servers.ask([chat()] * 60, clients=8)
        assert Counter(answer.status for answer in answers) == {200: 30, 429: 30}
        assert requests_of(reader) == {"": 1, "team": 30}
        assert nothing_is_held(redis_server, reader)


def test_stores_in_use_survive_a_fork(upstream: Upstream, redis_server: RedisServer, ledger: str) -> None:
    run_forking(upstream, SETTINGS=stores(redis_server, ledger, "ok", "stall-2"))
    with books(ledger) as reader:
        assert requests_of(reader) == {"team": 4}
        assert nothing_is_held(redis_server, reader)


def test_workers_that_end_after_some_requests_lose_nothing(
    start: Start, upstream: Upstream, redis_server: RedisServer, ledger: str
) -> None:
    settings = stores(redis_server, ledger, "ok", requests="75/hour")
    options = ("--max-requests", "20", "--max-requests-jitter", "5")
    with fleet(start, GUNICORN_GTHREAD, settings, *options, servers=1) as servers, books(ledger) as reader:
        (server,) = servers.servers

        def ask(_: int) -> int:
            with RawClient(server.port, timeout=PATIENCE) as client:
                return client.exchange(chat()).status

        with ThreadPoolExecutor(4) as pool:
            assert Counter(pool.map(ask, range(100))) == {200: 75, 429: 25}
        assert requests_of(reader) == {"team": 75}
        assert nothing_is_held(redis_server, reader)


@contextlib.contextmanager
def asking(servers: Fleet) -> Iterator[RawClient]:
    """Ask on a connection whose worker nobody else's answer may keep waiting; expect the right answer in the end."""
    (server,) = servers.servers
    with RawClient(server.port, timeout=PATIENCE) as client:
        client.send(chat(text="late"))
        yield client
        assert content_of(client.read_answer()) == "late"


def test_greenlets_go_on_while_one_waits_for_a_store(
    start: Start, upstream: Upstream, redis_server: RedisServer, postgres: PostgresServer
) -> None:
    ledger = postgres.new_database()
    settings = stores(redis_server, ledger, "ok")
    with fleet(start, GUNICORN_GEVENT, settings, servers=1, workers=1) as servers:
        (server,) = servers.servers
        assert {answer.status for answer in servers.ask([chat()] * 40, clients=20)} == {200}
        redis_server.command("CLIENT", "PAUSE", 4000, "WRITE")
        with asking(servers):
            assert get(server.port, "/page").startswith("host")
            redis_server.command("CLIENT", "UNPAUSE")
        with psycopg.connect(ledger) as connection:
            connection.execute("SELECT FROM completions_mw.budgets FOR UPDATE")
            with asking(servers):
                assert get(server.port, "/page").startswith("host")
                connection.rollback()
        with books(ledger) as reader:
            assert requests_of(reader) == {"team": 42}
            assert nothing_is_held(redis_server, reader)


@contextlib.contextmanager
def open_streams(port: int) -> Iterator[list[StreamClient]]:
    """Have streams under way that wait for their upstream."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(StreamClient(port, timeout=PATIENCE)) for _ in range(STREAMS)]
        for client in clients:
            client.ask("stall-2", "begun before")
        for client in clients:
            client.start()
            assert client.next_event() is not None
        yield clients


@pytest.mark.parametrize("kind", [GUNICORN_GTHREAD, GUNICORN_GEVENT, UVICORN_HTTPTOOLS], ids=lambda kind: kind.id)
def test_streams_that_end_in_time_are_settled_as_always(
    kind: Kind, start: Start, upstream: Upstream, redis_server: RedisServer, ledger: str
) -> None:
    with start(kind, SETTINGS=stores(redis_server, ledger, "stall-2")) as server, books(ledger) as reader:
        with open_streams(server.port) as clients:
            server.process.signal(signal.SIGTERM)
            upstream.release()
            for client in clients:
                assert client.rest_of_events()[-1] == "[DONE]"
        server.process.wait(timeout=PATIENCE)
        (row,) = reader.usage("key")
        assert (row.requests, row.prompt_tokens, row.completion_tokens, row.estimated) == (STREAMS, 2 * STREAMS, 2 * STREAMS, 0)
        assert nothing_is_held(redis_server, reader)


@pytest.mark.parametrize("lifespan", ["on", "off"])
def test_streams_that_are_cut_are_settled(lifespan: str, start: Start, upstream: Upstream, redis_server: RedisServer, ledger: str) -> None:
    """The lease is far longer than the test: nobody else has posted them."""
    settings = stores(redis_server, ledger, "stall-2", lease_ttl=60)
    with books(ledger) as reader:
        options = ("--timeout-graceful-shutdown", "2", "--lifespan", lifespan)
        with start(UVICORN_HTTPTOOLS, *options, SETTINGS=settings) as server, open_streams(server.port):
            server.process.signal(signal.SIGTERM)
            server.process.wait(timeout=PATIENCE)
        (row,) = reader.usage("key")
        # An estimate: of the prompt with its template, and of `begun `.
        assert (row.requests, row.prompt_tokens, row.completion_tokens, row.estimated) == (STREAMS, 8 * STREAMS, 2 * STREAMS, STREAMS)
        assert nothing_is_held(redis_server, reader)


@pytest.mark.parametrize("kind", [GUNICORN_GTHREAD, GUNICORN_GEVENT], ids=lambda kind: kind.id)
def test_streams_of_workers_that_are_killed_are_posted_by_others(
    kind: Kind, start: Start, upstream: Upstream, redis_server: RedisServer, ledger: str
) -> None:
    """After its time gunicorn kills the worker: what its streams held is free after the lease."""
    settings = stores(redis_server, ledger, "stall-2", "ok", lease_ttl=1)
    with books(ledger) as reader:
        with start(kind, "--graceful-timeout", "1", SETTINGS=settings) as server, open_streams(server.port):
            server.process.signal(signal.SIGTERM)
            server.process.wait(timeout=PATIENCE)
        upstream.wait_for(lambda: upstream.active_requests == 0)
        with start(kind, SETTINGS=settings) as server, RawClient(server.port) as client:
            assert content_of(client.exchange(chat())) == "hello"
            wait_until(lambda: nothing_is_held(redis_server, reader))
        assert requests_of(reader) == {"team": STREAMS + 1}
