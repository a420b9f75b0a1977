"""What the SDKs do about limits and budgets: retry when that helps, after the time that we say, and only then (docs/contract.md)."""

import asyncio
import time
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionMessageParam

from completions_mw import Gateway
from tests.clients.node_clients import install, run_script
from tests.clients.openai_python import Sdk
from tests.clients.support import Endpoint
from tests.support.envelope import REFUSALS
from tests.support.upstream import MockUpstream

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello to all of you"}]
CLIENTS = 50
EXHAUSTED: dict[str, Any] = {"budget": {"usd": "0.000000001", "period": "total"}}
HURRIED: dict[str, Any] = {"limits": {"requests": "1/second"}}
TRIES = 20
"""Of two requests within a second."""
RESERVED = (16 + 4 + 19 + 10) * 10**6
"""Nano-dollars: the bytes of the prompt, and ten tokens of an answer."""


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_an_exhausted_budget_costs_one_request(sdk: Sdk, operator: Gateway, upstream: MockUpstream, stream: bool) -> None:
    upstream.reset()
    key = operator.keys.create("poor", **EXHAUSTED)
    before = len(sdk.sent)
    with pytest.raises(openai.RateLimitError) as caught:
        sdk.client.with_options(api_key=key.secret).chat.completions.create(model="paid", messages=HELLO, stream=stream)
    error = caught.value
    assert (error.status_code, error.type, error.code) == (429, "insufficient_quota", "insufficient_quota")
    assert "budget" in error.message.lower()
    assert (len(sdk.sent) - before, len(upstream.requests)) == (1, 0)
    assert operator.usage(key=key.key.id) == []


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_a_rate_limit_is_waited_for(sdk: Sdk, operator: Gateway, stream: bool) -> None:
    client = sdk.client.with_options(api_key=operator.keys.create("hurried", **HURRIED).secret)
    for _ in range(TRIES):
        before, started = len(sdk.sent), time.monotonic()
        assert ask(client, stream=stream) == HELLO[0]["content"]
        taken = time.monotonic() - started
        assert len(sdk.sent) - before == 1 + len(REFUSALS)
        if REFUSALS:
            break
    assert taken * 1000 >= sum(int(refusal.headers["retry-after-ms"]) for refusal in REFUSALS) > 0


def ask(client: OpenAI, *, stream: bool) -> str | None:
    if not stream:
        return client.chat.completions.create(model="echo", messages=HELLO).choices[0].message.content
    return "".join(
        chunk.choices[0].delta.content or "" for chunk in client.chat.completions.create(model="echo", messages=HELLO, stream=True)
    )


def test_a_request_larger_than_its_limit_costs_one_request(sdk: Sdk, operator: Gateway) -> None:
    client = sdk.client.with_options(api_key=operator.keys.create("small", limits={"tokens": "100/minute"}).secret)
    before = len(sdk.sent)
    with pytest.raises(openai.RateLimitError, match="Request too large"):
        client.chat.completions.create(model="echo", messages=HELLO, max_completion_tokens=1000)
    assert len(sdk.sent) - before == 1


def test_a_crowd_with_an_exhausted_budget_makes_no_storm(endpoint: Endpoint, operator: Gateway, upstream: MockUpstream) -> None:
    """See docs/contract.md, Client retries."""
    upstream.reset()
    key = operator.keys.create("poor", **EXHAUSTED)
    sent: list[str] = []

    async def count(request: Any) -> None:
        sent.append(str(request.url))

    async def ask() -> str:
        http = openai.DefaultAsyncHttpx2Client(event_hooks={"request": [count]})
        async with AsyncOpenAI(base_url=endpoint.base_url, api_key=key.secret, http_client=http) as client:
            with pytest.raises(openai.RateLimitError) as caught:
                await client.chat.completions.create(model="paid", messages=HELLO)
            return str(caught.value.code)

    async def all_at_once() -> list[str]:
        return await asyncio.gather(*(ask() for _ in range(CLIENTS)))

    assert asyncio.run(all_at_once()) == ["insufficient_quota"] * CLIENTS
    assert (len(sent), len(upstream.requests)) == (CLIENTS, 0)
    assert operator.usage(key=key.key.id) == []


def test_a_crowd_spends_no_more_than_its_budget(endpoint: Endpoint, operator: Gateway, upstream: MockUpstream) -> None:
    upstream.reset()
    key = operator.keys.create("rich", budget={"usd": str(10 * RESERVED / 10**9), "period": "total"})

    async def ask(client: AsyncOpenAI) -> int:
        try:
            answer = await client.chat.completions.create(model="paid", messages=HELLO)
        except openai.RateLimitError:
            return 0
        assert answer.usage is not None
        return answer.usage.total_tokens

    async def all_at_once() -> list[int]:
        async with AsyncOpenAI(base_url=endpoint.base_url, api_key=key.secret) as client:
            return await asyncio.gather(*(ask(client) for _ in range(CLIENTS)))

    tokens = asyncio.run(all_at_once())
    [balance] = operator.balances(key.key.id)
    assert len(upstream.requests) == sum(map(bool, tokens)) >= 10
    assert (balance.spent, balance.reserved) == (sum(tokens) * 10**6, 0)
    assert balance.spent <= balance.limit


def test_openai_node_asks_once_where_a_retry_is_useless(endpoint: Endpoint, operator: Gateway) -> None:
    install()
    key = operator.keys.create("poor", **EXHAUSTED)
    results = run_script("limits.mjs", endpoint._replace(api_key=key.secret))
    assert results["asked"] == {"class": "RateLimitError", "code": "insufficient_quota", "requests": 1}


def test_openai_node_waits_for_a_rate_limit(endpoint: Endpoint, operator: Gateway) -> None:
    install()
    key = operator.keys.create("hurried", **HURRIED)
    results = run_script("limits.mjs", endpoint._replace(api_key=key.secret))
    asked, waited = results["asked"], results["waited"]
    assert asked == {"answered": "Hello to all of you", "requests": 1}
    assert (waited["answered"], waited["requests"]) == ("Hello to all of you", 1 + len(waited["advised"]))
    # Timers of Node.js may be a millisecond early.
    assert waited["ms"] >= sum(waited["advised"]) - len(waited["advised"])
    assert waited["advised"]
