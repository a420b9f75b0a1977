"""Targets that fail, over real connections, in both gateways (docs/routing.md)."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from completions_mw import Request
from tests.faults.conftest import HEADERS, KEY, UPSTREAM_KEY, AsyncClient, BlockingClient, Client, request, settings_for
from tests.support.process import free_port
from tests.support.upstream import MockUpstream
from tests.support.upstream_exchange import RequestContext

SPARE_KEY = "sk-canary-spare-key"
PATIENT = {"mute": {"targets": ["up/ttfb"]}, "quiet": {"targets": ["up/stall"]}}
"""Models that never answer, or fall silent, and for which the gateway has patience."""
Make = Callable[..., Client]
both_ways = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


async def busy(x: RequestContext) -> None:
    await x.reply_json({"error": {"message": "later", "code": "rate_limit_exceeded"}}, ("retry-after", "30"), status=429)


async def one_key_only(x: RequestContext) -> None:
    """Refuse the first of the two keys, and quote it."""
    key = x.request.header("authorization")
    if key == f"Bearer {UPSTREAM_KEY}":
        await x.reply_json({"error": {"message": f"Incorrect API key: {key}, and not {SPARE_KEY}"}}, status=401)
    else:
        await x.reply_json({"error": {"message": f"m {key} {UPSTREAM_KEY}"}}, status=400)


@pytest.fixture(scope="module")
def upstream() -> Iterator[MockUpstream]:
    with MockUpstream({"busy": busy, "one-key-only": one_key_only}) as server:
        yield server


@pytest.fixture(params=[BlockingClient, AsyncClient], ids=["blocking", "async"])
def make(request: pytest.FixtureRequest, upstream: MockUpstream) -> Iterator[Make]:
    """Return a gateway in which all that fails is tried again, and breakers work."""
    made: list[BlockingClient | AsyncClient] = []

    def build(**more: Any) -> Client:
        client: BlockingClient | AsyncClient = request.param(settings_for(upstream, retries={"attempts": 2}, breaker={}, **more))
        made.append(client)
        return client

    yield build
    for client in made:
        client.close()


def hurried(model: str, milliseconds: str, **fields: Any) -> Request:
    plain = request(model, **fields)
    return Request(plain.method, plain.path, (*HEADERS, ("x-request-timeout-ms", milliseconds)), plain.body)


@both_ways
def test_a_chain_of_failures_ends_with_an_answer(make: Make, upstream: MockUpstream, stream: bool) -> None:
    client = make(models={"chain": {"targets": ["up/status-503", "up/busy", "up/firsterror", "up/ok"]}})
    first, second = client.post("chain", stream=stream), client.post("chain", stream=stream)
    for answer, attempts in ((first, "4"), (second, "3")):
        assert (answer.status, answer.text) == (200, "one two three")
        assert answer.headers["x-completions-target"] == "up/ok"
        assert answer.headers["x-completions-attempts"] == attempts
    asked = [seen.model for seen in upstream.requests]
    assert asked == ["status-503", "busy", "firsterror", "ok", "status-503", "firsterror", "ok"]


@both_ways
def test_a_failure_that_passes_is_not_seen(make: Make, stream: bool) -> None:
    answer = make().post("flaky-1", stream=stream)
    assert (answer.status, answer.text) == (200, "one two three")
    assert answer.headers["x-completions-attempts"] == "2"


def test_a_refused_connection_is_tried_again(make: Make) -> None:
    nobody = {"api": "openai", "base_url": f"http://127.0.0.1:{free_port()}/v1"}
    answer = make(providers={"nobody": nobody}, models={"m": {"targets": ["nobody/m"]}}).post("m")
    assert (answer.status, answer.error["code"]) == (502, "upstream_unreachable")
    assert answer.headers["x-completions-attempts"] == "2"


@both_ways
def test_a_client_with_little_time_gets_an_error_in_time(make: Make, upstream: MockUpstream, stream: bool) -> None:
    answer = make(models=PATIENT).send(hurried("mute", "500", stream=stream))
    assert (answer.status, answer.error["code"]) == (504, "deadline_exceeded")
    assert answer.headers["x-completions-error-source"] == "gateway"
    # The upstream would wait for ever.
    assert upstream.wait_closed().request.model == "ttfb"


def test_a_stream_ends_at_the_clients_time(make: Make) -> None:
    answer = make(models=PATIENT).send(hurried("quiet", "1000", stream=True))
    assert (answer.status, answer.error["code"]) == (200, "deadline_exceeded")


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "", "86400001", "99999999999", "soon", "5,5"])
def test_a_time_that_is_none_is_refused(make: Make, upstream: MockUpstream, value: str) -> None:
    answer = make().send(hurried("ok", value))
    assert (answer.status, answer.error["code"]) == (400, "invalid_request_timeout")
    assert "X-Request-Timeout-Ms" in answer.error["message"]
    assert upstream.requests == []


def test_keys_take_turns_and_one_that_is_refused_is_passed_over(make: Make, upstream: MockUpstream) -> None:
    keyed = {"api": "openai", "base_url": upstream.url, "api_keys": [UPSTREAM_KEY, SPARE_KEY]}
    client = make(providers={"keyed": keyed}, models={"m": {"targets": ["keyed/one-key-only"]}})
    answers = [client.post("m") for _ in range(4)]
    assert [answer.status for answer in answers] == [400] * 4
    sent = [(seen.header("authorization") or "").removeprefix("Bearer ") for seen in upstream.requests]
    assert sent == [UPSTREAM_KEY, *[SPARE_KEY] * 4]
    assert {answer.error["message"] for answer in answers} == {"m Bearer *** ***"}


def test_a_timeout_that_leads_on(make: Make) -> None:
    model = {"targets": ["late/ttfb", "up/ok"], "fallback_on": ["timeout"]}
    answer = make(models={"patient": model}).post("patient", stream=True)
    assert (answer.status, answer.headers["x-completions-target"]) == (200, "up/ok")


def test_a_client_with_little_time_shares_its_failure_with_nobody(upstream: MockUpstream) -> None:
    """Where identical requests share one call of the upstream."""
    client = AsyncClient(settings_for(upstream, {"total": 20.0}, cache={"enabled": True, "when": "always"}))

    async def both() -> list[int]:
        first = asyncio.create_task(client.asend(hurried("ttfb", "1000")))
        await asyncio.to_thread(upstream.wait_for, lambda: bool(upstream.requests))
        second = asyncio.create_task(client.asend(request("ttfb")))
        statuses = [(await first).status]
        upstream.release()
        return [*statuses, (await second).status]

    assert client.runner.run(both()) == [504, 200]
    client.close()


def charged(upstream: MockUpstream, **model: Any) -> BlockingClient:
    """Return a gateway in which a token of an answer costs a thousandth of the budget."""
    prices = {"input": "0", "output": "1000"}
    return BlockingClient(
        settings_for(
            upstream,
            models={"patient": {"targets": ["late/ttfb", "up/ok"], "prices": prices, **model}},
            keys={"client": {"secret": KEY, "budget": {"usd": "1.00", "period": "total"}}},
            stores={"ledger": "memory://"},
            abandoned="reserved",
        )
    )


def test_an_attempt_that_may_be_billed_is_charged_too(upstream: MockUpstream) -> None:
    client = charged(upstream, fallback_on=["timeout"], max_output_tokens=200)
    assert client.post("patient", stream=True).status == 200
    [balance], [row] = client.gateway.balances("client"), client.gateway.usage()
    # Three of the answer, and all that was reserved for that of the target that was given up.
    assert (row.requests, row.completion_tokens, row.estimated) == (1, 3 + 200, 1)
    assert balance.reserved == 0
    assert balance.spent == row.cost_nano == row.completion_tokens * 1_000_000
    client.close()


@pytest.mark.parametrize(("fallback_on", "status"), [([], 504), (["timeout"], 429)])
def test_a_budget_reserves_all_answers_that_may_be_billed(upstream: MockUpstream, fallback_on: list[str], status: int) -> None:
    """One of 600 tokens fits into a budget of 1000 and two do not."""
    client = charged(upstream, fallback_on=fallback_on, max_output_tokens=600)
    assert client.post("patient", stream=True).status == status
    client.close()
