"""Several servers, each with several workers, that share their stores."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from tests.servers.client import page
from tests.servers.conftest import Running, Start
from tests.servers.kinds import Kind
from tests.support.rawhttp import Answer, RawClient
from tests.support.redis_server import RedisServer

PATIENCE = 60.0
"""Seconds that a client waits for anything."""
STORE_PATIENCE = 5.0
"""Seconds that Redis may take: a machine that has much to do must not look like a store that is down."""
LEASE_SECONDS = 3.0


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
        "lease_ttl": lease_ttl,
    }
    return json.dumps({"stores": stores, **tables})


class Fleet(NamedTuple):
    """Servers that run."""

    servers: Sequence[Running]
    workers: int
    """Of each of them."""

    @contextlib.contextmanager
    def clients(self, count: int) -> Iterator[list[RawClient]]:
        """Connect so often, evenly to all servers, or more often, until each worker has a client."""
        with contextlib.ExitStack() as stack:
            yield [client for server in self.servers for client in self._clients(stack, server, -(-count // len(self.servers)))]

    def _clients(self, stack: contextlib.ExitStack, server: Running, count: int) -> list[RawClient]:
        clients: list[RawClient] = []
        workers: set[str] = set()
        while len(clients) < count or len(workers) < self.workers:
            client = stack.enter_context(RawClient(server.port, timeout=PATIENCE))
            workers.add(page(client, "/page"))
            clients.append(client)
        return clients

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
