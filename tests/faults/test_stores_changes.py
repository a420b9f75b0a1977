"""Rules that change while requests run: those end as they began, and the next ones meet the new rules within `key_cache`."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from completions_mw import Gateway, NewKey, Settings
from completions_mw.core.ports import Balance
from tests.faults.conftest import Answer
from tests.faults.crowd import Crowd, Running, asking, every_crowd, recovers
from tests.support.command_line import process

LIMIT, LOW, HIGH = "1.00", "0.000001", "2.00"
PRICE = 3 * 1000 + 3 * 2000
"""Nano-dollars of an answer: more than the low limit, and next to nothing of the others."""


class Shop:
    """A gateway with a customer who runs a stream, and an operator elsewhere."""

    def __init__(self, crowd: Crowd, operator: Gateway, may_end: threading.Event, folder: Path) -> None:
        self.crowd = crowd
        self.operator = operator
        self.folder = folder
        self.key: NewKey = operator.keys.create("customer", budget={"usd": LIMIT, "period": "total"})
        self._may_end = may_end

    def ask(self) -> Answer:
        return self.crowd.send(asking(self.key.secret, "m", max_tokens=3))

    def begin(self) -> Running:
        return self.crowd.begin(asking(self.key.secret, "held", stream=True, max_tokens=3))

    def end(self, running: Running) -> Answer:
        self._may_end.set()
        return running.rest()

    @property
    def balance(self) -> Balance:
        [balance] = self.operator.balances(self.key.key.id)
        return balance

    def check_charged(self) -> None:
        """Check that every answer was charged, and nothing else."""
        [usage] = self.operator.usage("key", key=self.key.key.id)
        assert self.balance.spent == usage.cost_nano == usage.requests * PRICE
        assert self.balance.reserved == 0

    def has_code(self, code: str) -> bool:
        answer = self.ask()
        return answer.status != 200 and answer.error["code"] == code


def settings(folder: Path) -> Settings:
    priced = {"targets": ["local/m"], "prices": {"input": "1", "output": "2"}}
    ledger = f"sqlite:///{folder}/ledger.db"
    models = {"m": priced, "held": {"prices": priced["prices"]}}
    stores = {"ledger": ledger, "ledger_timeout": 30, "key_cache": 0.1}
    return Settings.from_mapping({"providers": {"local": {"api": "echo"}}, "models": models, "stores": stores})


@pytest.fixture(params=every_crowd.args[1], ids=every_crowd.kwargs["ids"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    may_end = threading.Event()

    def held(_: object) -> Iterator[object]:
        yield "one "
        assert may_end.wait(60)
        yield "two three"
        yield {"usage": {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}}

    functions = {"held": held}
    with request.param(settings(tmp_path), models=functions) as crowd, Gateway(settings(tmp_path), models=functions) as operator:
        yield Shop(crowd, operator, may_end, tmp_path)


def check_ended_well(answer: Answer) -> None:
    assert answer.is_complete
    assert answer.text == "one two three"


def test_a_budget_is_lowered_below_what_is_spent_and_raised_again(shop: Shop) -> None:
    assert shop.ask().status == 200
    running = shop.begin()
    shop.operator.keys.update(shop.key.key.id, budget={"usd": LOW, "period": "total"})
    recovers(lambda: shop.ask().status == 429)
    assert shop.has_code("insufficient_quota")
    check_ended_well(shop.end(running))
    shop.operator.keys.update(shop.key.key.id, budget={"usd": HIGH, "period": "total"})
    recovers(lambda: shop.ask().status == 200)
    assert shop.balance.limit == 2_000_000_000
    shop.check_charged()


def test_a_budget_is_taken_away(shop: Shop) -> None:
    running = shop.begin()
    shop.operator.keys.update(shop.key.key.id, budget={"usd": LOW, "period": "total"})
    recovers(lambda: shop.has_code("insufficient_quota"))
    shop.operator.keys.update(shop.key.key.id, budget=None)
    recovers(lambda: shop.ask().status == 200)
    before = shop.balance.spent
    check_ended_well(shop.end(running))
    assert (shop.balance.spent, shop.balance.reserved) == (before + PRICE, 0)


def test_a_key_is_disabled_by_another_process(shop: Shop) -> None:
    assert shop.ask().status == 200
    running = shop.begin()
    ledger = f"sqlite:///{shop.folder}/ledger.db"
    done = process("keys", "disable", shop.key.key.id, "--ledger", ledger, "--json", cwd=shop.folder)
    assert done.json["disabled"] is True
    recovers(lambda: shop.has_code("invalid_api_key"))
    check_ended_well(shop.end(running))
    shop.check_charged()
