"""Prices of targets: from the settings, else from a price table. Models of local providers are free, Python functions have no price."""

from collections.abc import Callable, Collection

from completions_mw.core.costs.prices import FREE, Price, price_of
from completions_mw.settings import ModelSettings, Settings
from completions_mw.settings.types import ModelKind

PriceSource = Callable[[str, ModelSettings, ModelKind], Price | None]
"""Function from the name of a target, `provider/model`, and the settings and kind of its model to its price; None if it has no price."""


def price_source(settings: Settings) -> PriceSource:
    """Return the function that finds the price of a target.

    Raises:
        ConfigurationError: the settings name a price table that is not installed.
    """

    def price(target: str, model: ModelSettings, kind: ModelKind) -> Price | None:
        if model.prices is not None:
            return price_of(model.prices)
        name, _, model_name = target.partition("/")
        provider = settings.providers.get(name)
        if not model.targets or provider is None:
            return None
        if provider.is_local:
            return FREE
        return table(name, provider.base_url, model_name, kind)

    table = _table(settings)
    return price


def highest_price(prices: Collection[Price]) -> Price:
    """Return a price with the highest of `prices` for each kind of token."""
    return Price(*map(max, zip(*prices, strict=True)))


def _table(settings: Settings) -> Callable[[str, str, str, ModelKind], Price | None]:
    if settings.price_table is None:
        return lambda provider, base_url, model, kind: None
    from completions_mw.backends.genai_prices import genai_price

    return genai_price
