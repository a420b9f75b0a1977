"""What settings hold once they are built: defaults, what they complete, what they keep secret."""

import copy
import hashlib
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from completions_mw.settings import (
    EchoSettings,
    KeySettings,
    Limits,
    LlamaCppSettings,
    OpenAISettings,
    Rate,
    Settings,
    TargetName,
    TimeoutSettings,
)

CLIENT_SECRET = "sk-client-canary"
UPSTREAM_SECRETS = {"sk-upstream-canary", "header-canary"}
TREE: dict[str, Any] = {
    "providers": {
        "up": {
            "api": "openai",
            "base_url": "http://127.0.0.1:9000/v1/",
            "api_key": "sk-upstream-canary",
            "headers": {"X-Api-Key": "header-canary"},
            "timeouts": {"total": 20},
        },
        "local": {"api": "llama_cpp", "path": "models/tiny.gguf"},
        "echo": {"api": "echo"},
    },
    "models": {"bot": {"targets": ["up/meta-llama/Llama-3", "echo/any"], "prices": {"input": "0.15", "output": 0.6}}},
    "keys": {"team-a": {"secret": CLIENT_SECRET}, "team-b": {"secret_sha256": "AB" * 32, "tenant": "team-a"}},
}


def openai(settings: Settings, name: str) -> OpenAISettings:
    provider = settings.providers[name]
    assert isinstance(provider, OpenAISettings)
    return provider


def test_a_crowd_waits_as_long_as_an_answer_may_take() -> None:
    """Else all of it would call the upstream at the same moment, in which the answer of the first call is nearly there."""
    assert Settings().cache.max_wait >= Settings().timeouts.total


@pytest.mark.parametrize("ttl", [0.001, 604_800, 31_536_000])
def test_an_answer_may_be_kept_for_a_year(ttl: float) -> None:
    assert Settings(cache={"ttl": ttl}, models={"m": {"cache": {"ttl": ttl}}}).cache.ttl == ttl


def test_nothing_needs_to_be_said() -> None:
    settings = Settings()
    assert settings.prefix == "/api/v1"
    assert settings.unknown_params == "reject"
    assert (settings.max_body_bytes, settings.max_response_bytes, settings.max_event_bytes) == (10 * 2**20, 16 * 2**20, 2**20)
    assert (settings.max_depth, settings.max_items, settings.max_messages) == (64, 100_000, 2048)
    assert (settings.keep_alive, settings.keep_alive_form, settings.body_timeout) == (15.0, "chunk", 30.0)
    assert (settings.send_timeout, settings.abandoned) == (60.0, "estimate")
    assert settings.timeouts == TimeoutSettings(connect=3, first_byte=120, between_events=120, total=600)
    assert (settings.connections.max, settings.connections.wait, settings.connections.keep_alive) == (100, 3.0, 4.0)
    assert (settings.providers, settings.models, settings.keys) == ({}, {}, {})


def test_each_api_has_its_own_fields() -> None:
    settings = Settings(**TREE)
    up = openai(settings, "up")
    assert up.base_url == "http://127.0.0.1:9000/v1"
    assert up.api_key is not None
    assert up.api_key.get_secret_value() == "sk-upstream-canary"
    assert {name: value.get_secret_value() for name, value in up.headers.items()} == {"x-api-key": "header-canary"}
    assert settings.providers["local"] == LlamaCppSettings(api="llama_cpp", path="models/tiny.gguf", context=2048, threads=1, parallel=1)
    assert settings.providers["echo"] == EchoSettings(api="echo")


def test_openai_has_a_default_address_and_needs_no_key() -> None:
    provider = openai(Settings(providers={"openai": {"api": "openai"}}), "openai")
    assert (provider.base_url, provider.api_key) == ("https://api.openai.com/v1", None)


@pytest.mark.parametrize("prefix", ["", "/v1", "/a.b/~c/v1"])
def test_prefixes_that_work(prefix: str) -> None:
    assert Settings(prefix=prefix).prefix == prefix


def test_timeouts_of_a_provider_are_completed_from_the_general_ones() -> None:
    settings = Settings(timeouts={"connect": 1, "total": 90}, **TREE)
    assert openai(settings, "up").timeouts == TimeoutSettings(connect=1, first_byte=120, between_events=120, total=20)


def test_targets_are_split_at_the_first_slash() -> None:
    targets = Settings(**TREE).models["bot"].targets
    assert targets == (TargetName("up", "meta-llama/Llama-3"), TargetName("echo", "any"))
    assert str(targets[0]) == "up/meta-llama/Llama-3"


def test_prices_are_exact() -> None:
    prices = Settings(**TREE).models["bot"].prices
    assert prices is not None
    assert (prices.input, prices.output, prices.cached_input) == (Decimal("0.15"), Decimal("0.6"), None)


def test_a_key_has_its_digest_and_its_tenant() -> None:
    keys = Settings(**TREE).keys
    assert keys["team-a"].secret_sha256 == hashlib.sha256(CLIENT_SECRET.encode()).hexdigest()
    assert keys["team-b"].secret_sha256 == "ab" * 32
    assert (keys["team-a"].tenant, keys["team-b"].tenant) == (None, "team-a")


@pytest.mark.parametrize("written", ["2027-01-31T00:00:00Z", "2027-01-31 01:00+01:00", datetime(2027, 1, 31, tzinfo=UTC)], ids=str)
def test_a_key_may_expire(written: object) -> None:
    key = Settings(keys={"a": {"secret": CLIENT_SECRET, "expires_at": written}}).keys["a"]
    assert key.expires_at == datetime(2027, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize("limit", [8, 505])
def test_client_secrets_may_be_as_long_as_this(limit: int) -> None:
    key = Settings(keys={"a": {"secret": "x" * limit}}).keys["a"]
    assert key.secret_sha256 == hashlib.sha256(b"x" * limit).hexdigest()


@pytest.mark.parametrize("render", [repr, str, lambda one: one.model_dump_json(), lambda one: repr(one.model_dump())], ids=range(4))
def test_no_rendering_shows_a_secret(render: Callable[[Settings], str]) -> None:
    text = render(Settings(**TREE))
    assert "canary" not in text
    assert "team-a" in text


def test_a_pickle_holds_only_the_secrets_that_are_needed() -> None:
    settings = Settings(**TREE)
    pickled = pickle.dumps(settings)
    assert CLIENT_SECRET.encode() not in pickled
    assert all(secret.encode() in pickled for secret in UPSTREAM_SECRETS)
    assert pickle.loads(pickled) == settings


def test_a_key_alone_keeps_no_secret_either() -> None:
    key = KeySettings.model_validate({"secret": CLIENT_SECRET})
    assert key.secret is None
    assert CLIENT_SECRET.encode() not in pickle.dumps(key)


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda one: one.model_copy(), lambda one: Settings(**one.model_dump())], ids=range(4)
)
def test_copies_are_equal(duplicate: Callable[[Settings], Settings]) -> None:
    settings = Settings(**TREE)
    assert duplicate(settings) == settings


def test_parts_may_be_objects() -> None:
    parts = Settings(**TREE)
    assert Settings(providers=parts.providers, models=parts.models, keys=parts.keys) == parts


@pytest.mark.parametrize("part", [Settings(), TimeoutSettings(), Settings(**TREE).keys["team-a"]], ids=lambda part: type(part).__name__)
def test_nothing_can_be_assigned(part: Any) -> None:
    field = next(iter(type(part).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(part, field, None)


def test_rates_have_the_syntax_of_limits() -> None:
    limits = Limits(requests="5/second; 7 per 2 minutes", tokens=["1000/hour", "9 per day"], concurrency=3)
    assert limits.requests == (Rate(5, 1), Rate(7, 120))
    assert limits.tokens == (Rate(1000, 3600), Rate(9, 86_400))
    assert Limits(**limits.model_dump(mode="json")) == limits


@pytest.mark.parametrize(
    "tree",
    [
        {"keys": {"a": {"secret": CLIENT_SECRET, "budget": {"usd": 1, "period": "day"}}}},
        {"tenants": {"t": {"budget": {"usd": 1, "period": "day"}}}},
        {"callers": {"budget": {"usd": 1, "period": "day"}}},
    ],
    ids=["key", "tenant", "callers"],
)
def test_money_is_counted_in_a_file_unless_another_place_is_named(tree: dict[str, Any]) -> None:
    assert Settings().stores.ledger is None
    ledger = Settings(**tree).stores.ledger
    assert ledger is not None
    assert ledger.get_secret_value() == "sqlite:///completions.db"
    named = Settings(**tree, stores={"ledger": "memory://"}).stores.ledger
    assert named is not None
    assert named.get_secret_value() == "memory://"


def test_a_ledger_of_a_file_stands_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "completions.toml"
    file.write_text('[stores]\nledger = "sqlite:///money.db"\nspool = "spool.jsonl"\n')
    stores = Settings.from_toml(file).stores
    assert stores.ledger is not None
    assert stores.ledger.get_secret_value() == f"sqlite:///{tmp_path}/money.db"
    assert stores.spool == str(tmp_path / "spool.jsonl")
