"""Prices of well-known models, from the table that comes with the package genai-prices (extra `prices`). Nothing is ever fetched."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Final

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.core.costs.prices import Price, price_of
from completions_mw.errors import ConfigurationError
from completions_mw.settings.models import Prices
from completions_mw.settings.types import ModelKind

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, TieredPrices

_TIME_STEP: Final = timedelta(minutes=30)
_STEPS_PER_DAY: Final = 48


def genai_price(provider_name: str, api_base: str, model: str, kind: ModelKind = "chat") -> Price | None:
    """Return the price of a model at a provider, or None if the price is unknown or does not depend on tokens alone.

    Where a price depends on the length of the prompt or on the time of day, the highest is returned, so that a budget holds in every case.
    Audio and images are priced as text, since `usage` does not tell them apart.

    Args:
        provider_name: the provider's name in the settings, used if the table does not know the URL.
        api_base: the URL of the provider's API.
        model: the provider's name for the model.
        kind: what the model is asked for; only chat models need a price of output.

    Raises:
        ConfigurationError: the extra is not installed.
    """
    found = _find(_table(), provider_name, api_base, model)
    if found is None:
        return None
    # All prices of one day: some are lower at night.
    midnight = datetime.fromtimestamp(SYSTEM_CLOCK.time(), UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    offers = [found.get_prices(midnight + step * _TIME_STEP) for step in range(_STEPS_PER_DAY)]
    if any(offer.input_mtok is None or offer.requests_kcount is not None for offer in offers):
        return None
    if any(offer.output_mtok is None for offer in offers):
        return price_of(Prices(input=_highest([offer.input_mtok for offer in offers]))) if kind == "embeddings" else None
    cached = [offer.input_mtok if offer.cache_read_mtok is None else offer.cache_read_mtok for offer in offers]
    written = [offer.input_mtok if offer.cache_write_mtok is None else offer.cache_write_mtok for offer in offers]
    reasoning = [offer.output_mtok if offer.output_reasoning_mtok is None else offer.output_reasoning_mtok for offer in offers]
    return price_of(
        Prices(
            input=_highest([offer.input_mtok for offer in offers]),
            output=_highest([offer.output_mtok for offer in offers]),
            cached_input=_highest(cached),
            reasoning=_highest(reasoning),
            cache_write=_highest(written),
        )
    )


@cache
def _table() -> "DataSnapshot":
    try:
        from genai_prices.data import providers
        from genai_prices.data_snapshot import DataSnapshot
    except ImportError:
        raise ConfigurationError("price_table: genai-prices is not installed: pip install 'completions-mw[prices]'") from None
    # A snapshot of our own: the host app may replace that of the package with one that was fetched.
    return DataSnapshot(providers=providers, from_auto_update=False)


def _find(table: "DataSnapshot", provider_name: str, api_base: str, model: str) -> "ModelInfo | None":
    for name, url in ((None, api_base), (provider_name, None)):
        try:
            provider = table.find_provider(None, name, url)
        except LookupError:
            continue
        return provider.find_model(model.lower(), all_providers=table.providers)
    return None


def _highest(prices: "list[Decimal | TieredPrices | None]") -> Decimal:
    amounts: list[Decimal] = []
    for price in prices:
        if isinstance(price, Decimal):
            amounts.append(price)
        elif price is not None:
            amounts += [price.base, *(tier.price for tier in price.tiers)]
    return max(amounts)
