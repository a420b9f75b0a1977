"""Behind nginx, which gives one connection to many clients: a refused request harms nobody (docs/promises.md, Hosts and servers)."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.servers.client import PATH, chat
from tests.servers.conftest import Running, Upstream
from tests.servers.framing import chunked, head
from tests.servers.kinds import GRANIAN, GUNICORN_GEVENT, GUNICORN_GTHREAD, HYPERCORN, UVICORN_HTTPTOOLS, every
from tests.support.nginx_server import nginx
from tests.support.rawhttp import RawClient, request

CLIENTS, REQUESTS = 4, 9
"""Clients of each kind, and requests of each client, each on a connection of its own."""
BODY = b" " * 300_000
WRONG_KEY = "Bearer sk-other"
STRANGERS = {
    "length": request(PATH, BODY, ("authorization", WRONG_KEY)),
    "chunked": head("transfer-encoding: chunked", authorization=WRONG_KEY) + chunked(*[BODY[:1000]] * 300),
}


@every((GUNICORN_GTHREAD, GUNICORN_GEVENT, UVICORN_HTTPTOOLS, HYPERCORN, GRANIAN))
@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
def test_refusals_of_large_bodies_harm_nobody(server: Running, upstream: Upstream, stranger: bytes) -> None:
    with nginx(server.port) as port, ThreadPoolExecutor(2 * CLIENTS) as pool:

        def ask(data: bytes) -> Counter[int]:
            statuses: Counter[int] = Counter()
            for _ in range(REQUESTS):
                with RawClient(port) as client:
                    statuses[client.exchange(data).status] += 1
            return statuses

        answers = [pool.submit(ask, data) for data in [stranger, chat("ok")] * CLIENTS]
        statuses = sum((answer.result() for answer in answers), Counter[int]())
    assert statuses == {401: CLIENTS * REQUESTS, 200: CLIENTS * REQUESTS}
