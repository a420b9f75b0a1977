"""A leader that is cancelled at any of its await points hands over without a failure (docs/caching.md)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from completions_mw import AsyncGateway, Settings
from tests.support.stepping import CancelAt

HELLO = [{"role": "user", "content": "hi"}]
PRICED = {"prices": {"input": "1000", "output": "2000"}, "max_output_tokens": 100, "cache": {"enabled": True}}
KEY = "sk-ada-0123456789"
USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
COST = 5 * 1_000_000 + 3 * 2_000_000
MAX_STEPS = 40


def settings() -> Settings:
    return Settings.from_mapping(
        {
            "models": {"m": PRICED},
            "cache": {"when": "always"},
            "stores": {"ledger": "memory://", "ledger_timeout": 20},
            "keys": {"ada": {"secret": KEY, "budget": {"usd": "1", "period": "total"}, "limits": {"concurrency": 50}}},
        }
    )


class Words:
    """A model that gives its words with pauses, and counts the answers that it has finished."""

    def __init__(self) -> None:
        self.finished = 0

    async def __call__(self, request: object) -> AsyncIterator[Any]:
        for word in ("one ", "two ", "three"):
            await asyncio.sleep(0)
            yield word
        self.finished += 1
        yield {"usage": USAGE}


async def whole(gateway: AsyncGateway) -> str | None:
    return (await gateway.complete(model="m", messages=HELLO, key=KEY)).choices[0].message.content


async def streamed(gateway: AsyncGateway) -> str:
    async with gateway.stream(model="m", messages=HELLO, key=KEY) as stream:
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])


async def settled(gateway: AsyncGateway, model: Words) -> None:
    """Wait until nothing is reserved, and every token of the model is charged: requests that were cancelled are settled beside others."""
    async with asyncio.timeout(30):
        while True:
            [balance] = await gateway.balances("ada")
            if balance.reserved == 0 and balance.spent >= model.finished * COST:
                return
            await asyncio.sleep(0.001)


async def run(leader: Any, followers: list[Any], step: int, *, insist: bool) -> bool:
    """Cancel a leader at one of its await points while others wait. Return whether it has so many."""
    model = Words()
    async with AsyncGateway(settings(), models={"m": model}) as gateway:
        cancelled = CancelAt(leader(gateway), step, insist=insist)
        first = asyncio.create_task(cancelled.run())
        others = [asyncio.create_task(follow(gateway)) for follow in followers]
        answers = await asyncio.gather(*others)
        assert answers == ["one two three"] * len(followers)
        await asyncio.wait([first])
        assert first.cancelled() is cancelled.reached
        stats = await gateway.cache.stats()
        assert stats[4:6] == (0, 0)
        assert await whole(gateway) == "one two three"
        await settled(gateway, model)
        assert model.finished <= 2
    return cancelled.reached


@pytest.mark.parametrize("leader", [whole, streamed], ids=["whole", "stream"])
@pytest.mark.parametrize("insist", [False, True], ids=["once", "insistently"])
def test_a_leader_that_is_cancelled_hands_over(leader: Any, insist: bool) -> None:
    step = 1
    while asyncio.run(run(leader, [whole, streamed, streamed], step, insist=insist)):
        step += 1
        assert step < MAX_STEPS
    assert step > 1
