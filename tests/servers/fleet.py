"""Several servers, each with several workers, that share their stores."""

import contextlib
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

import pytest

from completions_mw import Gateway, Settings
from tests.servers.client import page
from tests.servers.conftest import Running, Start
from tests.servers.kinds import GUNICORN_GTHREAD, UVICORN_HTTPTOOLS, Kind
from tests.servers.patience import STORE_PATIENCE
from tests.support.rawhttp import Answer, RawClient
from tests.support.redis_server import RedisServer

PATIENCE = 60.0
"""Seconds that a client waits for anything."""
LEASE_SECONDS = 3.0
AT_A_TIME = 8

_PAIRS: dict[tuple[Kind, str], tuple[()] | pytest.MarkDecorator] = {
    (GUNICORN_GTHREAD, "sqlite"): (),
    (UVICORN_HTTPTOOLS, "postgresql"): (),
    (GUNICORN_GTHREAD, "postgresql"): pytest.mark.soak,
    (UVICORN_HTTPTOOLS, "sqlite"): pytest.mark.soak,
}
every_pair = pytest.mark.parametrize(
    ("kind", "ledger"),
    [pytest.param(*pair, marks=marks, id="-".join((pair[0].id, pair[1]))) for pair, marks in _PAIRS.items()],
    indirect=["ledger"],
)
"""Every kind of server and every kind of ledger; each with each among the long runs."""


def sharing(redis: RedisServer, ledger: str | None = None, *, lease_ttl: float = LEASE_SECONDS, **tables: Any) -> str:
    """Return the variable that lets servers share stores.

    Without Redis nobody gets in, so that it shows if ever a worker counted on its own.

    Args:
        redis: counts.
        ledger: the address of the one that keeps the books; None for none.
        lease_ttl: as in the settings.
        **tables: further settings.
    """
    stores = {
        "admission": f"{redis.url}?socket_timeout={STORE_PATIENCE}",
        "admission_failure": "closed",
        "ledger": ledger,
        "ledger_timeout": STORE_PATIENCE,
        "lease_ttl": lease_ttl,
    }
    # Many upstreams here fail on purpose.
    return json.dumps({"stores": stores, "breaker": {"enabled": False}, **tables})


class Fleet(NamedTuple):
    """Servers that run."""

    servers: Sequence[Running]
    workers: int
    """Of each of them."""

    @contextlib.contextmanager
    def clients(self, count: int) -> Iterator[list[RawClient]]:
        """Connect at least so often: equally often to each worker of each server, in turn."""
        share = -(-count // (self.workers * len(self.servers)))
        with contextlib.ExitStack() as stack:
            of_workers = [clients for server in self.servers for clients in self._clients(stack, server, share)]
            yield [client for turn in zip(*of_workers, strict=True) for client in turn]

    def _clients(self, stack: contextlib.ExitStack, server: Running, share: int) -> list[list[RawClient]]:
        of_workers: defaultdict[str, list[RawClient]] = defaultdict(list)
        while sum(len(clients) == share for clients in of_workers.values()) < self.workers:
            # Several at a time: one by one, the same idle worker would take them all.
            for client in [stack.enter_context(RawClient(server.port, timeout=PATIENCE)) for _ in range(AT_A_TIME)]:
                clients = of_workers[page(client, "/page")]
                clients.append(client) if len(clients) < share else client.close()
        return list(of_workers.values())

    def ask(self, requests: Sequence[bytes], clients: int) -> list[Answer]:
        """Send all requests, by so many clients at a time; return their answers in any order."""
        todo: SimpleQueue[bytes] = SimpleQueue()
        for request in requests:
            todo.put(request)
        with self.clients(clients) as connections, ThreadPoolExecutor(len(connections)) as pool:
            return [answer for answers in pool.map(lambda client: _ask(client, todo), connections) for answer in answers]


def _ask(client: RawClient, todo: "SimpleQueue[bytes]") -> list[Answer]:
    answers = []
    with contextlib.suppress(Empty):
        while True:
            answers.append(client.exchange(todo.get_nowait()))
    return answers


@contextlib.contextmanager
def fleet(start: Start, kind: Kind, settings: str, *options: str, servers: int = 2, workers: int = 2, **env: str) -> Iterator[Fleet]:
    """Run servers with the settings of `sharing`."""
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(start(kind, *_options(kind, workers), *options, SETTINGS=settings, **env)) for _ in range(servers)]
        yield Fleet(running, workers)


def _options(kind: Kind, workers: int) -> tuple[str, ...]:
    seconds = str(int(PATIENCE))
    if kind.interface == "asgi":
        return "--workers", str(workers), "--timeout-keep-alive", seconds
    return "--workers", str(workers), "--keep-alive", seconds


def models(*names: str, **fields: Any) -> dict[str, Any]:
    """Return the table of models, each a scenario of the upstream, each with the same further fields."""
    return {name: {"targets": [f"mock/{name}"], **fields} for name in names}


def books(ledger: str) -> Gateway:
    """Return what reads the ledger, and serves nobody."""
    echo = {"providers": {"echo": {"api": "echo"}}, "models": {"echo": {"targets": ["echo/echo"]}}}
    return Gateway(Settings.from_mapping({**echo, "stores": {"ledger": ledger, "ledger_timeout": STORE_PATIENCE}}))
