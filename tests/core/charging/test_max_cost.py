"""What a request may cost at most, and who may not spend that."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from completions_mw import Caller, InvalidRequestError, PermissionDeniedError, Settings
from completions_mw.backends.models.echo import echo
from completions_mw.core.charging.max_cost import MaxCost
from completions_mw.core.costs.prices import FREE, Price
from completions_mw.core.costs.tokens import TokenEstimate
from completions_mw.core.dispatch.catalog import CatalogModel
from completions_mw.core.dispatch.route import Route
from completions_mw.core.dispatch.targets import InProcessTarget
from completions_mw.core.resilience import TargetHealth
from completions_mw.gateway.backends import BlockingBackends
from completions_mw.settings import BreakerSettings, RetrySettings
from tests.support.fake_clock import FakeClock

ESTIMATE = TokenEstimate(prompt=250, prompt_bound=1000, completion=500, per_choice=500, client_set_max=True)
HEALTH = TargetHealth(FakeClock().clock(), RetrySettings(), BreakerSettings())
TARGET = InProcessTarget("echo/m", "m", BlockingBackends().function(echo, Settings(), None), 600.0, HEALTH)
PRICE = Price(input=10**9, output=4 * 10**9, cached_input=10**8, reasoning=8 * 10**9, cache_write=10**9)
COST = 1000 * 1000 + 500 * 8000
"""Nano-dollars: every byte of the prompt a token, and all of the answer the dearest kind."""


def model(ceiling: Price | None) -> CatalogModel:
    return CatalogModel("m", Route.in_order(TARGET), 0, "tests", {} if ceiling is None else {TARGET.name: ceiling}, ceiling or FREE)


def caller(max_cost: str | None = None) -> Caller:
    return Caller("ada", max_cost=None if max_cost is None else Decimal(max_cost))


@pytest.mark.parametrize("budgeted", [True, False])
def test_the_dearest_that_it_can_be(budgeted: bool) -> None:
    assert MaxCost(Settings()).amount(model(PRICE), ESTIMATE, caller(), budgeted=budgeted) == COST
    assert MaxCost(Settings()).amount(model(FREE), ESTIMATE, None, budgeted=budgeted) == 0


UNPRICED: dict[str, tuple[dict[str, Any], bool, bool]] = {
    "default-with-budget": ({}, True, False),
    "default-without": ({}, False, True),
    "deny-with-budget": ({"unpriced": "deny"}, True, False),
    "deny-without": ({"unpriced": "deny"}, False, False),
    "free-with-budget": ({"unpriced": "free"}, True, True),
    "free-without": ({"unpriced": "free"}, False, True),
}
"""Settings, whether the caller has a budget, and whether it may use a model without a price."""


@pytest.mark.parametrize(("settings", "budgeted", "allowed"), UNPRICED.values(), ids=UNPRICED)
def test_a_model_without_a_price(settings: dict[str, Any], budgeted: bool, allowed: bool) -> None:
    max_cost = MaxCost(Settings(**settings))
    if allowed:
        assert max_cost.amount(model(None), ESTIMATE, caller(), budgeted=budgeted) == 0
        return
    with pytest.raises(PermissionDeniedError) as caught:
        max_cost.amount(model(None), ESTIMATE, caller(), budgeted=budgeted)
    assert (caught.value.code, caught.value.next_target) == ("model_not_priced", False)


CEILINGS: dict[str, tuple[str | None, str | None, bool]] = {
    "none": (None, None, True),
    "general-fits": ("0.005", None, True),
    "general-does-not": ("0.004999999", None, False),
    "own-fits": (None, "0.005", True),
    "own-does-not": (None, "0.004999999", False),
    "own-wins-upwards": ("0.001", "0.005", True),
    "own-wins-downwards": ("1", "0.001", False),
}
"""The general ceiling, the caller's own, and whether a request of $0.005 is within it."""


@pytest.mark.parametrize(("general", "own", "allowed"), CEILINGS.values(), ids=CEILINGS)
def test_what_one_request_may_cost(general: str | None, own: str | None, allowed: bool) -> None:
    max_cost = MaxCost(Settings(max_cost=general))
    if allowed:
        assert max_cost.amount(model(PRICE), ESTIMATE, caller(own), budgeted=False) == COST
        return
    with pytest.raises(InvalidRequestError) as caught:
        max_cost.amount(model(PRICE), ESTIMATE, caller(own), budgeted=False)
    assert caught.value.code == "max_cost_exceeded"


def test_the_general_ceiling_holds_for_the_app_itself() -> None:
    with pytest.raises(InvalidRequestError):
        MaxCost(Settings(max_cost="0.001")).amount(model(PRICE), ESTIMATE, None, budgeted=False)


@pytest.mark.parametrize(
    ("settings", "who", "applies"),
    [
        ({}, None, False),
        ({}, caller(), False),
        ({}, caller("1"), True),
        ({"max_cost": "1"}, None, True),
        ({"unpriced": "deny"}, None, True),
        ({"unpriced": "free"}, caller(), False),
    ],
    ids=["nothing", "caller", "callers-ceiling", "general-ceiling", "deny", "free"],
)
def test_whether_the_price_matters(settings: dict[str, Any], who: Caller | None, applies: bool) -> None:
    assert MaxCost(Settings(**settings)).applies(who) is applies


@pytest.mark.parametrize("tier", ["priority", "fast", "scale"])
def test_a_tier_that_costs_more_has_no_price(tier: str) -> None:
    estimate = replace(ESTIMATE, service_tier=tier)
    with pytest.raises(PermissionDeniedError) as caught:
        MaxCost(Settings()).amount(model(PRICE), estimate, caller(), budgeted=True)
    assert caught.value.code == "model_not_priced"
    assert MaxCost(Settings()).amount(model(FREE), estimate, caller(), budgeted=True) == 0
