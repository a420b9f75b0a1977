"""What answers from the cache cost (docs/caching.md): nothing, and every token of an upstream is charged once."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from completions_mw import GatewayError, UsageRow
from tests.support.cached_gateways import CachedGateway, HeldModel, Made
from tests.support.waiting import wait_until

PRICED = {"prices": {"input": "1000", "output": "2000"}, "max_output_tokens": 100}
USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
COST = 5 * 1_000_000 + 3 * 2_000_000
"""Nano-dollars of such an answer."""
ALIKE: dict[str, Any] = {"max_tokens": 50}
"""Requests that are equal for callers with a budget, and without: a budget sets a maximum for a request that has none."""


@pytest.fixture(params=["blocking", "async"])
def made(request: pytest.FixtureRequest) -> Iterator[Made]:
    def make(model: Callable[[Any], Any], *, cache: dict[str, Any] | None = None, **tree: Any) -> CachedGateway:
        models = {"m": {**PRICED, "cache": {"enabled": True, **(cache or {})}}}
        tree = {"stores": {"ledger": "memory://", "ledger_timeout": 20}, "models": models, **tree}
        return opened.enter_context(CachedGateway(request.param, {"m": model}, **tree))

    with ExitStack() as opened:
        yield make


def keys(**of_ada: Any) -> dict[str, Any]:
    """Return keys of one tenant, of which one has rules."""
    return {
        "ada": {"secret": "sk-ada-0123456789", "tenant": "acme", **of_ada},
        "eve": {"secret": "sk-eve-0123456789", "tenant": "acme"},
    }


def model(*pieces: Any, held: int | None = None) -> HeldModel:
    return HeldModel(*pieces, held=held, usage=USAGE)


def row(gateway: CachedGateway, key: str = "ada", requests: int | None = None) -> UsageRow:
    """Return the sums over the requests of a key, as soon as there are so many."""

    def rows() -> list[UsageRow]:
        found: list[UsageRow] = gateway.call(gateway.gateway.usage, "key", key=key)
        return found

    if requests is not None:
        wait_until(lambda: [found.requests for found in rows()] == [requests])
    [found] = rows()
    return found


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_hits_move_no_budget(made: Made, stream: bool) -> None:
    budget = {"usd": "1", "period": "total"}
    gateway = made(model(), keys=keys(budget=budget, limits={"requests": "4/hour", "tokens": "1000/hour", "concurrency": 1}))
    for _ in range(3):
        gateway.send(stream=stream).read()
    found = row(gateway, requests=3)
    assert (found.prompt_tokens, found.completion_tokens, found.cost_nano) == (5, 3, COST)
    assert (found.from_cache, found.saved_nano, round(found.hit_rate, 2)) == (2, 2 * COST, 0.67)
    [balance] = gateway.call(gateway.gateway.balances, "ada")
    assert (balance.spent, balance.reserved) == (COST, 0)
    gateway.send().read()
    refused = gateway.send()
    assert (refused.status, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")


def test_hits_are_charged_where_the_settings_say_so(made: Made) -> None:
    gateway = made(model(), cache={"charge_hits": True}, keys=keys(budget={"usd": "1", "period": "total"}))
    for stream in (False, True, False):
        gateway.send(stream=stream).read()
    found = row(gateway, requests=3)
    assert (found.completion_tokens, found.cost_nano, found.from_cache, found.saved_nano) == (9, 3 * COST, 2, 0)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_followers_are_charged_as_hits(made: Made, stream: bool) -> None:
    source = model("one", held=1)
    gateway = made(source, keys=keys())
    leader = gateway.later(stream=True)
    gateway.wait_for_requests(1)
    followers = [gateway.later("eve", stream=stream) for _ in range(3)]
    gateway.wait_for_requests(4)
    source.release()
    for reply in (leader, *followers):
        reply.result().read()
    assert (row(gateway, "ada", 1).cost_nano, row(gateway, "ada").from_cache) == (COST, 0)
    found = row(gateway, "eve", 3)
    assert (found.cost_nano, found.completion_tokens, found.from_cache, found.saved_nano) == (0, 0, 3, 3 * COST)


def test_a_leader_without_budget_hands_over(made: Made) -> None:
    """Its refusal is its own."""
    source = model("one", held=1)
    gateway = made(source, keys=keys(budget={"usd": "0.001", "period": "total"}))
    refused = gateway.send(**ALIKE)
    assert (refused.status, refused.json()["error"]["code"]) == (429, "insufficient_quota")
    leader = gateway.later("eve", **ALIKE)
    gateway.wait_for_requests(1)
    follower = gateway.later(**ALIKE)
    gateway.wait_for_requests(2)
    source.release()
    assert [leader.result().cache, follower.result().cache, gateway.send(**ALIKE).cache] == ["miss", "coalesced", "hit"]


def test_a_leader_that_leaves_pays_what_others_get(made: Made) -> None:
    source = model("one", held=1)
    gateway = made(source, keys=keys(budget={"usd": "1", "period": "total"}))
    leader = gateway.send(stream=True, **ALIKE)
    next(leader.pieces)
    follower = gateway.later("eve", **ALIKE)
    gateway.wait_for_requests(2)
    leader.close()
    source.release()
    assert follower.result().status == 200
    assert row(gateway, "ada", 1).cost_nano == COST
    assert row(gateway, "eve", 1).cost_nano == 0
    [balance] = gateway.call(gateway.gateway.balances, "ada")
    assert (balance.spent, balance.reserved) == (COST, 0)


def test_a_maximum_that_only_a_budget_sets_keeps_answers_apart(made: Made) -> None:
    """The upstream is asked for fewer tokens then, and may stop early."""
    gateway = made(model(), keys=keys(budget={"usd": "1", "period": "total"}))
    assert [gateway.send(key, **fields).cache for fields in ({}, ALIKE) for key in ("ada", "eve", "ada")] == [
        *("miss", "miss", "hit"),
        *("miss", "hit", "hit"),
    ]


def test_a_follower_that_leaves_costs_nothing(made: Made) -> None:
    source = model("one", held=1)
    gateway = made(source, keys=keys())
    leader, follower = gateway.send(stream=True), gateway.send("eve", stream=True)
    next(follower.pieces)
    follower.close()
    source.release()
    leader.read()
    found = row(gateway, "eve", 1)
    assert (found.cost_nano, found.completion_tokens, found.saved_nano) == (0, 0, 0)


class CountedModel:
    """A model whose calls use random tokens, or fail, and which knows what it has used."""

    def __init__(self) -> None:
        self._random = random.Random(7)
        self._lock = threading.Lock()
        self.calls = self.prompt = self.completion = 0

    def __call__(self, request: object) -> Iterator[Any]:
        with self._lock:
            self.calls += 1
            prompt, completion, fails = self._random.randrange(1, 50), self._random.randrange(1, 50), self._random.random() < 0.1
            if not fails:
                self.prompt += prompt
                self.completion += completion
        if fails:
            raise GatewayError("Not today.", code="tired")
        yield "one "
        yield {"content": "two", "usage": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}}


def storm(gateway: CachedGateway, source: CountedModel, requests: int) -> None:
    """Send requests of which many are equal, in both forms; then compare the ledger with what the model has used."""
    rng = random.Random(5)
    answered = 0
    for _ in range(requests // 32):
        sent = []
        for _ in range(32):
            control = rng.choice([None, None, None, "no-store", "no-cache", "max-age=5", "only-if-cached"])
            seed = rng.randrange(requests // 4)
            sent.append(gateway.later(rng.choice(["ada", "eve"]), control, stream=rng.random() < 0.5, seed=seed // 8 * 8))
        for later in sent:
            reply = later.result()
            reply.read()
            answered += reply.status == 200

    def sums(name: str) -> int:
        return sum(getattr(row(gateway, key), name) for key in ("ada", "eve"))

    wait_until(lambda: sums("prompt_tokens") == source.prompt)
    assert sums("completion_tokens") == source.completion
    assert sums("cost_nano") == source.prompt * 1_000_000 + source.completion * 2_000_000
    assert 0 < sums("from_cache") < answered
    [balance] = gateway.call(gateway.gateway.balances, "acme", "tenant")
    assert (balance.spent, balance.reserved) == (sums("cost_nano"), 0)
    assert gateway.stats()[4:6] == (0, 0)


def test_the_ledger_has_what_the_model_used(made: Made) -> None:
    source = CountedModel()
    storm(made(source, tenants={"acme": {"budget": {"usd": "1000000", "period": "total"}}}), source, 256)


@pytest.mark.soak
def test_the_ledger_has_what_the_model_used_over_ten_thousand_requests(made: Made) -> None:
    source = CountedModel()
    storm(made(source, tenants={"acme": {"budget": {"usd": "1000000", "period": "total"}}}), source, 10_000)
