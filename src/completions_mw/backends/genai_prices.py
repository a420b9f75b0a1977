"""Prices of well-known models, from the table that comes with the package genai-prices (extra `prices`). Nothing is ever fetched."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Final

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.core.costs.prices import Price, price_of
from completions_mw.errors import ConfigurationError
from completions_mw.settings.models import Prices

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

_STEP: Final = timedelta(minutes=30)
_STEPS_OF_A_DAY: Final = 48


def genai_price(provider_name: str, api_base: str, model: str) -> Price | None:
    """Return what a provider takes for a model, or None if that is not known, or not a matter of tokens alone.

    Of prices that depend on the length of the prompt, or on the time of day, it is the dearest: a budget must hold in every case.
    Sound and pictures are priced as text, as `usage` does not tell them apart.

    Args:
        provider_name: as the settings call it; counts where the table does not know the URL.
        api_base: the URL of the provider's API.
        model: the provider's name for it.

    Raises:
        ConfigurationError: the extra is not installed.
    """
    found = _find(_table(), provider_name, api_base, model)
    offers = [] if found is None else list(_offers(found))
    if not offers or any(_is_incomplete(offer) for offer in offers):
        return None
    cached = [offer.input_mtok if offer.cache_read_mtok is None else offer.cache_read_mtok for offer in offers]
    reasoning = [offer.output_mtok if offer.output_reasoning_mtok is None else offer.output_reasoning_mtok for offer in offers]
    return price_of(
        Prices(
            input=_dearest([offer.input_mtok for offer in offers]),
            output=_dearest([offer.output_mtok for offer in offers]),
            cached_input=_dearest(cached),
            reasoning=_dearest(reasoning),
        )
    )


@cache
def _table() -> "DataSnapshot":
    try:
        from genai_prices.data import providers
        from genai_prices.data_snapshot import DataSnapshot
    except ImportError:
        raise ConfigurationError("price_table: genai-prices is not installed: pip install 'completions-mw[prices]'") from None
    # Of our own: the package's may be replaced by the host app with one that was fetched.
    return DataSnapshot(providers=providers, from_auto_update=False)


def _find(table: "DataSnapshot", provider_name: str, api_base: str, model: str) -> "ModelInfo | None":
    for name, url in ((None, api_base), (provider_name, None)):
        try:
            provider = table.find_provider(None, name, url)
        except LookupError:
            continue
        return provider.find_model(model.lower(), all_providers=table.providers)
    return None


def _offers(model: "ModelInfo") -> "Iterator[ModelPrice]":
    """Yield the prices of one day: some are lower at night."""
    midnight = datetime.fromtimestamp(SYSTEM_CLOCK.time(), UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for step in range(_STEPS_OF_A_DAY):
        yield model.get_prices(midnight + step * _STEP)


def _is_incomplete(offer: "ModelPrice") -> bool:
    return offer.input_mtok is None or offer.output_mtok is None or offer.requests_kcount is not None


def _dearest(prices: "list[Decimal | TieredPrices | None]") -> Decimal:
    amounts: list[Decimal] = []
    for price in prices:
        if isinstance(price, Decimal):
            amounts.append(price)
        elif price is not None:
            amounts += [price.base, *(tier.price for tier in price.tiers)]
    return max(amounts)
