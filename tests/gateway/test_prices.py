"""Where prices come from, and who costs nothing."""

from typing import Any, Literal

import pytest

from completions_mw import Settings
from completions_mw.core.costs.prices import FREE, price_of
from completions_mw.gateway.prices import price_source
from completions_mw.settings import ModelSettings, OpenAISettings
from completions_mw.settings.models import Prices
from completions_mw.settings.providers import UpstreamSettings
from completions_mw.settings.types import ModelKind

PRICES = Prices.model_validate({"input": "0.15", "output": "0.60"})
PROVIDERS: dict[str, Any] = {"up": {"api": "openai"}, "llama": {"api": "llama_cpp"}, "echo": {"api": "echo"}}


class OtherSettings(UpstreamSettings):
    """A kind of upstream that this version does not have."""

    api: Literal["other"]


def model(target: str, prices: Prices | None = None) -> ModelSettings:
    return ModelSettings(targets=[target], prices=prices)  # type: ignore[arg-type]


@pytest.mark.parametrize("target", ["llama/m", "echo/m"])
def test_a_local_provider_costs_nothing(target: str) -> None:
    assert price_source(Settings(providers=PROVIDERS))(target, model(target), "chat") == FREE


@pytest.mark.parametrize("table", [None, "genai-prices"])
@pytest.mark.parametrize("provider", [OpenAISettings(api="openai", base_url="http://up.test/v1"), OtherSettings(api="other")])
def test_no_kind_of_upstream_is_free(provider: UpstreamSettings, table: str | None) -> None:
    settings = Settings(price_table=table).model_copy(update={"providers": {"up": provider}})
    price = price_source(settings)
    assert price("up/no-such-model", model("up/no-such-model"), "chat") is None
    assert price("up/m", model("up/m", PRICES), "chat") == price_of(PRICES)


def test_every_kind_of_provider_says_whether_it_is_local() -> None:
    assert {name: provider.is_local for name, provider in Settings(providers=PROVIDERS).providers.items()} == {
        "up": False,
        "llama": True,
        "echo": True,
    }


def test_a_function_is_not_priced() -> None:
    assert price_source(Settings())("python/bot", ModelSettings(), "chat") is None


def test_the_price_table_knows_upstreams_by_their_address() -> None:
    price = price_source(Settings(providers=PROVIDERS, price_table="genai-prices"))("up/gpt-4o-mini", model("up/gpt-4o-mini"), "chat")
    assert price is not None
    assert price.input > 0


@pytest.mark.parametrize(("kind", "is_known"), [("embeddings", True), ("chat", False)])
def test_only_a_chat_model_needs_a_price_of_output(kind: ModelKind, is_known: bool) -> None:
    name = "up/text-embedding-3-small"
    price = price_source(Settings(providers=PROVIDERS, price_table="genai-prices"))(name, model(name), kind)
    assert (price is not None) is is_known
    assert price is None or (price.input > 0 and price.output == 0)
