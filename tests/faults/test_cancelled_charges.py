"""At whatever await point a request is cancelled, it holds no place and no money, and is settled once (docs/promises.md, Money)."""

import asyncio
from pathlib import Path

import pytest

from completions_mw import AsyncGateway, Settings
from completions_mw.core.ports import Balance
from tests.faults.conftest import KEY, UPSTREAM_KEY, consume
from tests.support.stepping import CancelAt
from tests.support.upstream import MockUpstream

PRICES = {"input": "1000", "output": "2000"}
WHOLE = 3 * 1_000_000 + 3 * 2_000_000
"""Nano-dollars of a whole answer."""
ESTIMATE = 9 * 1_000_000 + 4 * 2_000_000
"""The most that a client pays who left before the usage came: more than the prompt alone, nine tokens by the first estimate."""
MODELS = ("ok", "status-500", "errorevent", "trunc")


def settings(upstream: MockUpstream, folder: Path) -> Settings:
    limits = {"requests": "100000/hour", "tokens": "100000000/hour", "concurrency": 1}
    return Settings.from_mapping(
        {
            "providers": {"up": {"api": "openai", "base_url": upstream.url, "api_key": UPSTREAM_KEY}},
            "models": {name: {"targets": [f"up/{name}"], "prices": PRICES, "max_output_tokens": 10} for name in MODELS},
            "keys": {"client": {"secret": KEY, "limits": limits, "budget": {"usd": "1000", "period": "total"}}},
            "stores": {"ledger": f"sqlite:///{folder}/ledger.db", "ledger_timeout": 30},
        }
    )


async def books_of(gateway: AsyncGateway) -> tuple[Balance, int, int]:
    """Return how the budget stands, the sum of all rows, and how many there are; what was begun is done by then."""
    await gateway.close()
    [balance] = await gateway.balances("client")
    [row] = await gateway.usage(key="client")
    return balance, row.cost_nano, row.requests


async def cancel_everywhere(gateway: AsyncGateway, model: str, *, stream: bool, insist: bool) -> int:
    """Cancel a request at its first await point, then at its second, and so on; return how many it has."""
    assert await consume(gateway, "ok", stream=False) == 200
    step, reached, spent, requests = 0, True, WHOLE, 1
    while reached:
        step += 1
        victim = CancelAt(consume(gateway, model, stream=stream), step, insist=insist)
        await asyncio.wait([asyncio.create_task(victim.run())])
        reached = victim.reached
        balance, total, rows = await books_of(gateway)
        assert (balance.reserved, balance.spent) == (0, total)
        assert 0 <= total - spent <= ESTIMATE
        assert rows - requests <= 1
        # The only place is free.
        assert await consume(gateway, "ok", stream=stream) == 200
        balance, spent, requests = await books_of(gateway)
        assert (balance.reserved, spent - total, requests - rows) == (0, WHOLE, 1)
    return step - 1


@pytest.mark.parametrize("insist", [False, True], ids=["once", "again-and-again"])
@pytest.mark.parametrize(
    ("model", "stream"), [("ok", False), ("status-500", False), *((model, True) for model in ("ok", "errorevent", "trunc"))]
)
def test_cancelled_at_every_await_point(upstream: MockUpstream, tmp_path: Path, model: str, stream: bool, insist: bool) -> None:
    async def main() -> int:
        async with AsyncGateway(settings(upstream, tmp_path)) as gateway:
            return await cancel_everywhere(gateway, model, stream=stream, insist=insist)

    assert asyncio.run(main()) >= 4
    upstream.wait_for(lambda: upstream.active_requests == 0)
