from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from completions_mw.core.costs.prices import FREE, NANO, Price, ceiling, cost, nano, price_of, tokens_of, usd
from completions_mw.core.ports import Tokens
from completions_mw.settings.models import Prices

MINI = Price(150_000_000, 600_000_000, 75_000_000, 600_000_000, 200_000_000)
amounts = st.integers(0, 10**15)
prices = st.builds(Price, *[amounts] * len(Price._fields))
counts = st.integers(0, 2**53 - 1)


@st.composite
def tokens(draw: st.DrawFn) -> Tokens:
    prompt, completion = draw(counts), draw(counts)
    cached = draw(st.integers(0, prompt))
    return Tokens(prompt, completion, cached, draw(st.integers(0, completion)), draw(st.integers(0, prompt - cached)))


def test_a_price_in_nano_dollars() -> None:
    given_all = Prices.model_validate({"input": "0.15", "output": "0.6", "cached_input": "0.075", "reasoning": "1.2", "cache_write": "0.2"})
    assert price_of(given_all) == Price(150_000_000, 600_000_000, 75_000_000, 1_200_000_000, 200_000_000)


def test_tokens_without_a_price_cost_as_others() -> None:
    assert price_of(Prices(input=Decimal(1), output=Decimal(2))) == Price(NANO, 2 * NANO, NANO, 2 * NANO, NANO)


def test_what_is_for_nothing_has_a_price() -> None:
    free = Prices(input=Decimal(1), output=Decimal(2), cached_input=Decimal(0), reasoning=Decimal(0), cache_write=Decimal(0))
    assert price_of(free) == Price(NANO, 2 * NANO, 0, 0, 0)


@pytest.mark.parametrize(("dollars", "amount"), [("1", NANO), ("0.000000001", 1), ("0.0000000001", 1), ("10.00", 10 * NANO), ("0", 0)])
def test_dollars_in_nano_dollars(dollars: str, amount: int) -> None:
    assert nano(Decimal(dollars)) == amount


@pytest.mark.parametrize(
    ("used", "amount"),
    [
        (Tokens(1_000_000, 0), 150_000_000),
        (Tokens(0, 1_000_000), 600_000_000),
        (Tokens(1000, 500), 450_000),
        (Tokens(1000, 500, cached=1000), 375_000),
        (Tokens(1000, 500, cached=100, cache_write=400), 462_500),
        (Tokens(1, 0), 150),
        (Tokens(), 0),
    ],
    ids=["input", "output", "both", "cached", "written", "one", "none"],
)
def test_what_tokens_cost(used: Tokens, amount: int) -> None:
    assert cost(MINI, used) == amount


def test_reasoning_is_a_part_of_the_completion() -> None:
    assert cost(Price(0, NANO, 0, 3 * NANO, 0), Tokens(0, 1_000_000, reasoning=500_000)) == 2 * NANO


def test_a_cost_is_rounded_up_once() -> None:
    assert cost(Price(1, 1, 1, 1, 1), Tokens(1, 1, 1, 1)) == 1
    assert cost(Price(999_999, 2, 0, 0, 0), Tokens(1, 1)) == 2


@given(prices, tokens())
def test_a_cost_is_exact(price: Price, used: Tokens) -> None:
    plain = (used.prompt - used.cached - used.cache_write, used.completion - used.reasoning)
    kinds = (*plain, used.cached, used.reasoning, used.cache_write)
    exact = sum(Fraction(amount, 10**6) * count for amount, count in zip(price, kinds, strict=True))
    assert 0 <= cost(price, used) - exact < 1


@given(prices, tokens())
def test_no_cost_is_above_the_ceiling(price: Price, used: Tokens) -> None:
    assert cost(price, used) <= ceiling(price, used.prompt, used.completion)


@given(prices, counts, counts)
def test_the_ceiling_is_reached(price: Price, prompt: int, completion: int) -> None:
    inputs = [(0, 0), (prompt, 0), (0, prompt)]
    kinds = [Tokens(prompt, completion, cached, reasoning, written) for cached, written in inputs for reasoning in (0, completion)]
    assert max(cost(price, used) for used in kinds) == ceiling(price, prompt, completion)


@given(tokens())
def test_nothing_costs_nothing(used: Tokens) -> None:
    assert cost(FREE, used) == ceiling(FREE, used.prompt, used.completion) == 0


def test_a_million_tenths_of_a_cent_are_a_thousand_dollars() -> None:
    tenth = cost(Price(NANO, 0, 0, 0, 0), Tokens(prompt=1000))
    assert sum(tenth for _ in range(10**6)) == 1000 * NANO


def usage(**more: Any) -> dict[str, Any]:
    return {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150, **more}


@pytest.mark.parametrize(
    ("cached", "counted"),
    [
        (0, 0),
        (40, 40),
        (100, 100),
        (101, 100),
        (-1, 0),
        (10**18, 0),
        (2**53, 0),
        (True, 0),
        (1.0, 0),
        ("40", 0),
        (None, 0),
        (float("nan"), 0),
    ],
    ids=repr,
)
def test_cached_tokens(cached: Any, counted: int) -> None:
    assert tokens_of(usage(prompt_tokens_details={"cached_tokens": cached})) == Tokens(100, 50, cached=counted)


@pytest.mark.parametrize(("reasoning", "counted"), [(50, 50), (51, 50), (-5, 0), ("all", 0)], ids=repr)
def test_reasoning_tokens(reasoning: Any, counted: int) -> None:
    assert tokens_of(usage(completion_tokens_details={"reasoning_tokens": reasoning})) == Tokens(100, 50, reasoning=counted)


@pytest.mark.parametrize("details", [None, {}, [], "cached_tokens", 7], ids=repr)
def test_details_that_are_none(details: Any) -> None:
    assert tokens_of(usage(prompt_tokens_details=details, completion_tokens_details=details)) == Tokens(100, 50)


def test_usage_without_details() -> None:
    assert tokens_of(usage()) == Tokens(100, 50)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (10 * NANO, "$10.00"),
        (0, "$0.00"),
        (500_000, "$0.0005"),
        (1, "$0.000000001"),
        (9_990_000_000, "$9.99"),
        (9_900_000_000, "$9.90"),
        (1_234_567_890, "$1.23456789"),
        (123_456 * NANO, "$123456.00"),
        (-500_000_000, "-$0.50"),
    ],
)
def test_dollars_for_people(amount: int, text: str) -> None:
    assert usd(amount) == text


@given(st.integers(-(10**20), 10**20))
def test_dollars_for_people_are_exact(amount: int) -> None:
    text = usd(amount)
    assert Decimal(text.replace("$", "")) * NANO == amount
    assert len(text.partition(".")[2]) >= 2


def test_reasoning_that_is_in_the_total_alone_is_output() -> None:
    assert tokens_of({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 115}) == Tokens(prompt=10, completion=105)
