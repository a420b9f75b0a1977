"""Dry runs: what would happen to a request, which asks nobody and takes nothing (docs/dry-runs.md)."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from completions_mw import Gateway, InvalidRequestError, NotFoundError, PermissionDeniedError, Request, ServiceUnavailableError, Settings
from tests.faults.conftest import KEY, AsyncClient, BlockingClient
from tests.hosts.base import CHAT, bearer
from tests.support.upstream import MockUpstream

HELLO = [{"role": "user", "content": "one two three"}]
PRICES = {"input": "1000", "output": "2000"}
"""A tenth of a cent for a token of the prompt, two tenths for one of the answer."""
PROMPT, BOUND = 9, 33
"""Tokens of `HELLO`."""


@pytest.fixture(scope="module")
def upstream() -> Iterator[MockUpstream]:
    with MockUpstream() as server:
        yield server


@pytest.fixture(params=[BlockingClient, AsyncClient], ids=["blocking", "async"])
def client(request: pytest.FixtureRequest, upstream: MockUpstream) -> Iterator[BlockingClient | AsyncClient]:
    upstream.reset()
    settings = Settings.from_mapping(
        {
            "providers": {"up": {"api": "openai", "base_url": upstream.url}, "openai": {"api": "openai"}},
            "models": {
                "ok": {"targets": ["up/ok"], "prices": PRICES, "max_output_tokens": 10, "limits": {"requests": "100/hour"}},
                "two": {"targets": ["openai/gpt-4o", "up/ok"]},
                "own": {"targets": ["openai/gpt-4o"]},
                "emb": {"targets": ["up/text-embedding-3-small"], "prices": {"input": "1000"}},
            },
            "keys": {
                "client": {
                    "secret": KEY,
                    "tenant": "acme",
                    "limits": {"requests": "2/hour", "tokens": "1000/minute", "concurrency": 3},
                    "budget": {"usd": "0.10", "period": "total"},
                }
            },
            "tenants": {"acme": {"budget": {"usd": "5", "period": "total"}}},
            "unpriced": "free",
            "stores": {"ledger": "memory://"},
            "cache": {"enabled": True, "when": "always"},
        }
    )
    made = request.param(settings)
    yield made
    made.close()


Client = BlockingClient | AsyncClient


def dry_run(client: Client, model: str = "ok", *, value: str = "1", key: str = KEY, **fields: Any) -> Any:
    """Return the body of the answer to a dry run."""
    headers = (*bearer(key), ("content-type", "application/json"), ("x-dry-run", value))
    answer = client.send(Request("POST", CHAT, headers, json.dumps({"model": model, "messages": HELLO, **fields}).encode()))
    return answer.json


def usage(client: Client) -> int:
    rows = client.gateway.usage() if isinstance(client, BlockingClient) else client.runner.run(client.gateway.usage())
    return sum(row.requests for row in rows)


def explain(client: Client, **fields: Any) -> Any:
    given: dict[str, Any] = fields if "input" in fields else {"messages": HELLO, **fields}
    call = client.gateway.explain(**given)
    return client.runner.run(call) if isinstance(client, AsyncClient) else call  # type: ignore[arg-type]


def test_what_would_happen(client: Client) -> None:
    told = dry_run(client, seed=7)
    cache_key = told.pop("cache_key")
    assert len(bytes.fromhex(cache_key)) == 32
    budget = {"period": "total", "spent_usd": "0", "reserved_usd": "0"}
    assert told == {
        "object": "dry_run",
        "model": "ok",
        "stream": False,
        "caller": "client",
        "tenant": "acme",
        "targets": [{"target": "up/ok", "refusal": None, "dropped": []}],
        "tokens": {"prompt": PROMPT, "prompt_bound": BOUND, "completion": 10},
        "max_cost_usd": "0.053",
        "limits": [
            {"owner": "model:ok", "counts": "requests", "limit": 100, "seconds": 3600, "cost": 1},
            {"owner": "key:client", "counts": "requests", "limit": 2, "seconds": 3600, "cost": 1},
            {"owner": "key:client", "counts": "tokens", "limit": 1000, "seconds": 60, "cost": PROMPT + 10},
            {"owner": "key:client", "counts": "concurrency", "limit": 3, "seconds": None, "cost": 1},
        ],
        "budgets": [
            {"owner": "key:client", "limit_usd": "0.1", "left_usd": "0.1", **budget},
            {"owner": "tenant:acme", "limit_usd": "5", "left_usd": "5", **budget},
        ],
        "ignored_params": [],
    }


def test_nobody_is_asked_and_nothing_is_taken(client: Client, upstream: MockUpstream) -> None:
    for _ in range(5):
        dry_run(client)
        explain(client, model="ok", key=KEY)
    assert not upstream.requests
    assert client.post("ok").status == 200
    told = dry_run(client)
    spent = Decimal(told["budgets"][0]["spent_usd"])
    # Three words of each side.
    assert (spent, Decimal(told["budgets"][0]["left_usd"])) == (Decimal("0.009"), Decimal("0.091"))
    assert usage(client) == 1


def test_a_dry_run_and_the_request_have_the_same_cache_key(client: Client) -> None:
    plain, streamed, other = (dry_run(client, **fields)["cache_key"] for fields in ({}, {"stream": True}, {"seed": 1}))
    assert plain == streamed != other
    assert explain(client, model="ok", key=KEY).cache_key == plain
    assert explain(client, model="ok", key=KEY, cache="no-store").cache_key is None


def test_direct_calls_of_the_app_itself_are_not_charged(client: Client) -> None:
    told = explain(client, model="two", top_k=40, user="u")
    assert [(target.target, target.refusal) for target in told.targets] == [
        ("openai/gpt-4o", "Unsupported parameter: 'top_k' is not supported with this model."),
        ("up/ok", None),
    ]
    assert (told.caller, told.tenant, told.budgets, told.max_cost_usd) == (None, None, [], None)


def test_direct_calls_for_embeddings(client: Client) -> None:
    told = explain(client, model="emb", input=["one two", "three"], key=KEY)
    assert [target.target for target in told.targets] == ["up/text-embedding-3-small"]
    assert (told.model, told.tokens.completion) == ("emb", 0)
    with pytest.raises(PermissionDeniedError):
        explain(client, model="ok", input="one")
    with pytest.raises(NotFoundError):
        explain(client, model="emb")


@pytest.mark.parametrize("fields", [{"messages": None, "input": None}, {"messages": HELLO, "input": "one"}], ids=["neither", "both"])
def test_a_direct_call_is_for_one_kind_of_answer(client: Client, fields: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="either `messages` or `input`"):
        explain(client, model="ok", **fields)


REFUSED: list[tuple[dict[str, Any], int, str | None]] = [
    ({"model": "nobody"}, 404, "model_not_found"),
    ({"temperature": 7}, 400, "decimal_above_max_value"),
    ({"model": "own", "top_k": 40}, 400, "unsupported_parameter"),
    ({"key": "sk-unknown"}, 401, "invalid_api_key"),
    ({"value": "yes"}, 400, "invalid_dry_run"),
]


@pytest.mark.parametrize(("fields", "status", "code"), REFUSED, ids=lambda value: str(value) if isinstance(value, str) else "")
def test_what_would_be_refused_is_refused(client: Client, fields: dict[str, Any], status: int, code: str | None) -> None:
    assert dry_run(client, **fields)["error"]["code"] == code


def test_zero_is_no_dry_run(client: Client) -> None:
    assert dry_run(client, value="0")["object"] == "chat.completion"


def test_a_request_that_costs_too_much(upstream: MockUpstream) -> None:
    tree: dict[str, Any] = {
        "providers": {"up": {"api": "openai", "base_url": upstream.url}},
        "models": {"m": {"targets": ["up/ok"], "prices": PRICES}},
        "max_cost": "0.01",
    }
    with Gateway(Settings.from_mapping(tree)) as gateway, pytest.raises(InvalidRequestError, match="may cost"):
        gateway.explain(model="m", messages=HELLO)


def test_targets_that_clients_are_not_told(upstream: MockUpstream) -> None:
    tree: dict[str, Any] = {
        "providers": {"up": {"api": "openai", "base_url": upstream.url}},
        "models": {"m": {"targets": ["up/ok"]}},
        "keys": {"client": {"secret": KEY}},
        "expose_targets": False,
    }
    with Gateway(Settings.from_mapping(tree)) as gateway:
        assert gateway.explain(model="m", messages=HELLO, key=KEY).targets == []
        assert [target.target for target in gateway.explain(model="m", messages=HELLO).targets] == ["up/ok"]


def test_a_ledger_that_is_down(tmp_path: Path, upstream: MockUpstream) -> None:
    broken = tmp_path / "completions.db"
    broken.write_bytes(b"no database" * 1000)
    tree: dict[str, Any] = {
        "providers": {"up": {"api": "openai", "base_url": upstream.url}},
        "models": {"m": {"targets": ["up/ok"], "prices": PRICES}},
        "keys": {"client": {"secret": KEY, "budget": {"usd": "1", "period": "total"}}},
        "stores": {"ledger": f"sqlite:///{broken}"},
    }
    with Gateway(Settings.from_mapping(tree)) as gateway, pytest.raises(ServiceUnavailableError) as caught:
        gateway.explain(model="m", messages=HELLO, key=KEY)
    assert caught.value.code == "budget_unavailable"
