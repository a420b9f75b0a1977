"""Hedged requests over real connections, in both gateways (docs/routing.md, Hedging)."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.conftest import KEY, AsyncClient, BlockingClient, settings_for
from tests.support.upstream import MockUpstream
from tests.support.upstream_exchange import RequestContext
from tests.support.upstream_scenarios import SCENARIOS

QUICK = 20
"""Answers after which the gateway knows how long the target takes."""


async def tiring(x: RequestContext) -> None:
    """Answer as long as a test warms up, and then not until it is released."""
    if x.attempt >= QUICK:
        await x.released()
    await SCENARIOS["ok"](x)


@pytest.fixture(scope="module")
def upstream() -> Iterator[MockUpstream]:
    with MockUpstream({"tiring": tiring}) as server:
        yield server


@pytest.fixture(params=[BlockingClient, AsyncClient], ids=["blocking", "async"])
def client(request: pytest.FixtureRequest, upstream: MockUpstream) -> Iterator[Any]:
    prices = {"input": "0", "output": "1000"}
    made = request.param(
        settings_for(
            upstream,
            models={"m": {"targets": ["up/tiring", "up/ok"], "hedge": True, "prices": prices, "max_output_tokens": 100}},
            keys={"client": {"secret": KEY, "budget": {"usd": "1000", "period": "total"}}},
            stores={"ledger": "memory://"},
            abandoned="reserved",
        )
    )
    yield made
    made.close()


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_the_sooner_answer_counts_and_the_other_call_is_closed(client: Any, upstream: MockUpstream, stream: bool) -> None:
    for _ in range(QUICK):
        assert client.post("m", stream=stream).headers["x-completions-target"] == "up/tiring"
    answer = client.post("m", stream=stream)
    assert (answer.status, answer.text) == (200, "one two three")
    assert (answer.headers["x-completions-target"], answer.headers["x-completions-attempts"]) == ("up/ok", "2")
    assert upstream.wait_closed().request.model == "tiring"
    rows = client.gateway.usage() if isinstance(client, BlockingClient) else client.runner.run(client.gateway.usage())
    # What the other one may have written is charged as `abandoned` says: all that was reserved for it.
    assert [(row.requests, row.completion_tokens) for row in rows] == [(QUICK + 1, 3 * (QUICK + 1) + 100)]
