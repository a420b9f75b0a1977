"""Where the price of a target comes from: the settings, else a table. Local providers cost nothing, Python functions are unpriced."""

from collections.abc import Callable, Collection

from completions_mw.core.costs.prices import FREE, Price, price_of
from completions_mw.settings import ModelSettings, Settings

PriceSource = Callable[[str, ModelSettings], Price | None]
"""The price of the target `provider/model` of a model; None if nobody knows."""


def price_source(settings: Settings) -> PriceSource:
    """Return what knows the prices of all targets.

    Raises:
        ConfigurationError: the price table is not installed.
    """

    def price(target: str, model: ModelSettings) -> Price | None:
        if model.prices is not None:
            return price_of(model.prices)
        name, _, model_name = target.partition("/")
        provider = settings.providers.get(name)
        if not model.targets or provider is None:
            return None
        if provider.is_local:
            return FREE
        return table(name, provider.base_url, model_name)

    table = _table(settings)
    return price


def dearest(prices: Collection[Price]) -> Price:
    """Return a price that none of `prices` exceeds in anything."""
    return Price(*map(max, zip(*prices, strict=True)))


def _table(settings: Settings) -> Callable[[str, str, str], Price | None]:
    if settings.price_table is None:
        return lambda provider, base_url, model: None
    from completions_mw.backends.genai_prices import genai_price

    return genai_price
