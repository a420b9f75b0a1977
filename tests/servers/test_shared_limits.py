"""Limits that hold for all workers of all servers together (docs/promises.md, Limits)."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from tests.servers.apps import KEY
from tests.servers.client import chat
from tests.servers.conftest import Start, Upstream
from tests.servers.fleet import fleet, models, sharing
from tests.servers.kinds import GUNICORN_GTHREAD, UVICORN_HTTPTOOLS, Kind
from tests.support.envelope import check_error
from tests.support.rawhttp import Answer
from tests.support.redis_server import RedisServer

CLIENTS = 24
PROMPT = 7
"""Tokens that `hello` is taken for, with its role and the chat template."""
ANSWER = 93


class Size(NamedTuple):
    """How much is done."""

    limit: int
    requests: int
    servers: int
    workers: int
    """Of each server."""


QUICK = Size(limit=50, requests=150, servers=1, workers=2)
GUNICORN = Size(limit=1000, requests=5000, servers=2, workers=4)
UVICORN = Size(limit=1000, requests=5000, servers=2, workers=2)


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        pytest.param(GUNICORN_GTHREAD, QUICK, id="gunicorn-quick"),
        pytest.param(UVICORN_HTTPTOOLS, QUICK, id="uvicorn-quick"),
        pytest.param(GUNICORN_GTHREAD, GUNICORN, id="gunicorn-full", marks=pytest.mark.soak),
        pytest.param(UVICORN_HTTPTOOLS, UVICORN, id="uvicorn-full", marks=pytest.mark.soak),
    ],
)
def test_exactly_the_limit_gets_in(kind: Kind, size: Size, start: Start, upstream: Upstream, redis_server: RedisServer) -> None:
    keys = {"team": {"secret": KEY, "limits": {"requests": f"{size.limit}/hour"}}}
    with fleet(start, kind, sharing(redis_server, keys=keys), servers=size.servers, workers=size.workers) as servers:
        answers = servers.ask([chat()] * size.requests, CLIENTS)
    assert Counter(answer.status for answer in answers) == {200: size.limit, 429: size.requests - size.limit}
    assert len(upstream.requests) == size.limit
    remaining = {answer.head.header("x-ratelimit-remaining-requests") for answer in answers if answer.status == 200}
    assert remaining == {str(number) for number in range(size.limit)}
    for answer in answers:
        if answer.status == 429:
            check_refusal(answer, "requests", size.limit)


def check_refusal(answer: Answer, kind: str, limit: int) -> None:
    """Check that a refusal says what official clients need to know."""
    body = json.loads(answer.body)
    check_error(body)
    assert (body["error"]["type"], body["error"]["code"]) == (kind, "rate_limit_exceeded")
    assert answer.head.header(f"x-ratelimit-limit-{kind}") == str(limit)
    assert 1 <= int(answer.head.header("retry-after") or 0) <= 60


@pytest.mark.soak
def test_refusal_for_tokens_costs_no_request(start: Start, upstream: Upstream, redis_server: RedisServer) -> None:
    """The tokens run out long before the requests do; nothing is given back before all have asked."""
    limit, requests = 100, 1000
    tokens = limit * (PROMPT + ANSWER)
    keys = {"team": {"secret": KEY, "limits": {"requests": "1000/hour", "tokens": f"{tokens}/hour"}}}
    settings = sharing(redis_server, keys=keys, models=models("held"))
    data = chat("held", max_tokens=ANSWER)
    with fleet(start, GUNICORN_GTHREAD, settings) as servers, servers.clients(limit + CLIENTS) as clients:
        askers, others = clients[:limit], clients[limit:]
        with ThreadPoolExecutor(limit) as pool:
            served = [pool.submit(client.exchange, data) for client in askers]
            upstream.wait_for(lambda: upstream.active_requests == limit, timeout=30)
            refused = [others[number % len(others)].exchange(data) for number in range(requests - limit)]
            upstream.let_go()
            answered = [one.result() for one in served]
    assert {answer.status for answer in answered} == {200}
    for answer in refused:
        assert answer.status == 429
        check_refusal(answer, "tokens", tokens)
        assert answer.head.header("x-ratelimit-remaining-requests") == str(1000 - limit)
        assert answer.head.header("x-ratelimit-remaining-tokens") == "0"
    assert len(upstream.requests) == limit
