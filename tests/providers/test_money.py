"""Money: for every API that providers may have, a budget moves by the usage that the provider reports, whole or streamed.

The APIs are those of the settings, so that none can be forgotten: a new one needs the fixtures of tests/providers/corpus.
"""

from typing import Any

import pytest

from completions_mw import Settings
from completions_mw.settings.providers import UPSTREAM_KINDS
from tests.faults.conftest import KEY, AsyncClient, BlockingClient
from tests.providers.corpus import FORMATS
from tests.providers.corpus.case import Case, case
from tests.providers.corpus.replay import reply
from tests.support.canned import CannedTransport

APIS = sorted({kind.api_name() for kind in UPSTREAM_KINDS} - {"custom"})
PRICES = {"input": 1, "output": 10, "cached_input": "0.1", "reasoning": 20, "cache_write": "1.25"}
"""USD per million tokens: a thousand times as many nano-dollars for a token."""
every_api = pytest.mark.parametrize("api", APIS)
every_client = pytest.mark.parametrize("client", [BlockingClient, AsyncClient], ids=["blocking", "async"])
Client = type[BlockingClient] | type[AsyncClient]


def settings(api: str, one: Case, **model: Any) -> Settings:
    return Settings(
        providers={"up": {"api": api, **FORMATS[api].settings}, "local": {"api": "echo"}},
        models={"m": {"targets": [f"up/{one.model}"], **model}, "free": {"targets": ["local/any"]}},
        keys={"client": {"secret": KEY, "budget": {"usd": 1, "period": "total"}}},
        stores={"ledger": "memory://"},
    )


def replaying(api: str, one: Case, *, stream: bool) -> CannedTransport:
    return CannedTransport(lambda request: reply(FORMATS[api], one, stream=stream))


def spent(client: BlockingClient | AsyncClient) -> int:
    """Return the nano-dollars that the key has spent."""
    if isinstance(client, AsyncClient):
        return sum(balance.spent for balance in client.runner.run(client.gateway.balances("client")))
    return sum(balance.spent for balance in client.gateway.balances("client"))


def billed(usage: dict[str, Any]) -> int:
    """Return the nano-dollars for the usage of a fixture."""
    prompt, completion = usage["prompt_tokens"], usage["completion_tokens"]
    cached, written = (usage.get("prompt_tokens_details", {}).get(name, 0) for name in ("cached_tokens", "cache_write_tokens"))
    reasoning = usage.get("completion_tokens_details", {}).get("reasoning_tokens", 0)
    plain = 1000 * (prompt - cached - written) + 10_000 * (completion - reasoning)
    return int(plain + 100 * cached + 1250 * written + 20_000 * reasoning)


@every_api
@every_client
@pytest.mark.parametrize("name", ["usage", "thinking"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_budget_moves_by_the_usage(client: Client, api: str, name: str, stream: bool) -> None:
    one = case(api, name)
    made = client(settings(api, one, prices=PRICES), transport=replaying(api, one, stream=stream))
    answer = made.post("m", stream=stream)
    assert answer.status == 200, answer.body
    assert one.completion is not None
    assert spent(made) == billed(one.completion["usage"])
    made.close()


@every_api
def test_the_cases_have_every_kind_of_token(api: str) -> None:
    usages = [one.completion["usage"] for one in (case(api, "usage"), case(api, "thinking")) if one.completion]
    assert any(usage.get("prompt_tokens_details", {}).get("cached_tokens") for usage in usages)


@every_api
@every_client
def test_a_model_without_a_price_is_refused_before_it_is_asked(client: Client, api: str) -> None:
    one = case(api, "usage")
    transport = replaying(api, one, stream=False)
    made = client(settings(api, one), transport=transport)
    answer = made.post("m")
    assert (answer.status, answer.error["code"]) == (403, "model_not_priced")
    assert (transport.requests, spent(made)) == ([], 0)
    made.close()
