import socket
import subprocess
import sys
from datetime import date, time
from decimal import Decimal

import pytest
from genai_prices.data_snapshot import DataSnapshot
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)

from completions_mw.backends import genai_prices
from completions_mw.backends.genai_prices import genai_price
from completions_mw.core.costs.prices import Price
from completions_mw.errors import ConfigurationError
from completions_mw.settings.compatible import OPENAI, service_named

URL = "https://api.example.com/v1"
USD = 10**9


@pytest.fixture
def priced(monkeypatch: pytest.MonkeyPatch) -> "type[SettingsModel]":
    SettingsModel.patch = monkeypatch
    return SettingsModel


class SettingsModel:
    """A table with one model, of which everything is known."""

    patch: pytest.MonkeyPatch

    def __init__(self, prices: ModelPrice | list[ConditionalPrice]) -> None:
        model = ModelInfo("m", ClauseEquals("m"), prices=prices)
        snapshot = DataSnapshot([Provider("example", "Example", r"https://api\.example\.com", models=[model])], from_auto_update=False)
        self.patch.setattr(genai_prices, "_table", lambda: snapshot)

    def price(self, model: str = "m") -> Price | None:
        return genai_price("other", URL, model)


def dollars(**prices: str | TieredPrices) -> ModelPrice:
    return ModelPrice(**{name: Decimal(price) if isinstance(price, str) else price for name, price in prices.items()})


def test_the_real_table_knows_a_real_model() -> None:
    assert genai_price("openai", OPENAI.base_url, "gpt-4o-mini") == Price(
        USD * 15 // 100, USD * 6 // 10, USD * 75 // 1000, USD * 6 // 10, USD * 15 // 100
    )


@pytest.mark.parametrize("provider", ["openai", "groq", "mistral", "xai", "deepseek", "openrouter", "together", "fireworks", "cerebras"])
def test_the_real_table_knows_the_providers_that_we_know(provider: str) -> None:
    table = genai_prices._table()
    service = service_named(provider)
    assert service is not None
    assert table.find_provider(None, None, service.base_url).models


def test_the_url_counts_before_the_name() -> None:
    by_url = genai_price("openai", "https://api.deepseek.com/v1", "deepseek-chat")
    assert by_url is not None
    assert by_url == genai_price("deepseek", "http://localhost/v1", "deepseek-chat")


@pytest.mark.parametrize(
    ("provider", "url", "model"),
    [
        ("openai", OPENAI.base_url, "no-such-model"),
        ("mine", "http://localhost:8000/v1", "gpt-4o-mini"),
        ("openai", OPENAI.base_url, "text-embedding-3-small"),
    ],
    ids=["model", "provider", "no output"],
)
def test_what_nobody_knows(provider: str, url: str, model: str) -> None:
    assert genai_price(provider, url, model) is None


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("somebody wants to reach the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    genai_prices._table.cache_clear()
    assert genai_price("openai", OPENAI.base_url, "gpt-4o") is not None


def test_all_kinds_of_tokens(priced: type[SettingsModel]) -> None:
    all_kinds = dollars(input_mtok="1", output_mtok="2", cache_read_mtok="0.1", output_reasoning_mtok="3", cache_write_mtok="1.25")
    assert priced(all_kinds).price() == Price(USD, 2 * USD, USD // 10, 3 * USD, USD * 5 // 4)
    assert priced(dollars(input_mtok="1", output_mtok="2")).price("M") == Price(USD, 2 * USD, USD, 2 * USD, USD)


@pytest.mark.parametrize(
    "prices",
    [
        dollars(),
        dollars(input_mtok="1"),
        dollars(output_mtok="1"),
        dollars(input_mtok="1", output_mtok="1", requests_kcount="5"),
    ],
    ids=["nothing", "input only", "output only", "by request"],
)
def test_a_price_that_is_not_one_of_tokens(priced: type[SettingsModel], prices: ModelPrice) -> None:
    assert priced(prices).price() is None


def test_of_tiers_the_dearest(priced: type[SettingsModel]) -> None:
    def tiers(*prices: int) -> TieredPrices:
        base, *more = map(Decimal, prices)
        return TieredPrices(base, [Tier(200_000 * (number + 1), price) for number, price in enumerate(more)])

    prices = dollars(input_mtok=tiers(1, 4, 2), output_mtok=tiers(8, 3), cache_read_mtok=tiers(0, 1))
    assert priced(prices).price() == Price(4 * USD, 8 * USD, USD, 8 * USD, 4 * USD)


def test_a_cached_token_without_a_price_costs_as_the_dearest_input(priced: type[SettingsModel]) -> None:
    prices = dollars(input_mtok=TieredPrices(Decimal(1), [Tier(200_000, Decimal(2))]), output_mtok="5")
    assert priced(prices).price() == Price(2 * USD, 5 * USD, 2 * USD, 5 * USD, 2 * USD)


def test_of_day_and_night_the_dearest(priced: type[SettingsModel]) -> None:
    day, night = dollars(input_mtok="2", output_mtok="3"), dollars(input_mtok="1", output_mtok="4")
    hours = TimeOfDateConstraint(time(16, 30), time(0, 30))
    assert priced([ConditionalPrice(prices=day), ConditionalPrice(hours, prices=night)]).price() == Price(
        2 * USD, 4 * USD, 2 * USD, 4 * USD, 2 * USD
    )


def test_a_price_of_the_past_and_one_of_the_future(priced: type[SettingsModel]) -> None:
    old, new, next = (dollars(input_mtok=amount, output_mtok=amount) for amount in ("9", "2", "5"))
    now, then = StartDateConstraint(date(2024, 1, 1)), StartDateConstraint(date(2999, 1, 1))
    prices = [ConditionalPrice(prices=old), ConditionalPrice(now, prices=new), ConditionalPrice(then, prices=next)]
    assert priced(prices).price() == Price(2 * USD, 2 * USD, 2 * USD, 2 * USD, 2 * USD)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices.data", None)
    genai_prices._table.cache_clear()
    with pytest.raises(ConfigurationError) as caught:
        genai_price("openai", URL, "m")
    assert str(caught.value) == "price_table: genai-prices is not installed: pip install 'completions-mw[prices]'"


def test_it_is_loaded_when_it_is_needed() -> None:
    code = "import sys, completions_mw.backends.genai_prices; sys.exit('genai_prices' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
