"""What the operator is told when a gateway is built: settings that cannot do what they were written for."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from completions_mw import AsyncGateway, ConfigurationError, Gateway, Settings
from tests.support.logs import line
from tests.support.small_disk import small_disk

BUDGET = {"usd": "1.00", "period": "month"}
PRICES = {"input": "1", "output": "2"}
SECRET = "sk-0123456789"
OTHER = "sk-9876543210"
Told = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    """Return what building a gateway logs, and nobody else."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WEB_CONCURRENCY", raising=False)

    def build(kind: type[Gateway] | type[AsyncGateway] = Gateway, /, *, options: Any = None, **tree: Any) -> list[dict[str, Any]]:
        caplog.clear()
        gateway = kind(settings(**tree), **(options or {}))
        records = [record for record in caplog.records if record.name == "completions_mw"]
        assert all(record.levelno == logging.WARNING for record in records)
        lines = [line(record) for record in records]
        assert [warning.event for warning in gateway.setup_warnings] == [logged["event"] for logged in lines]
        return lines

    return build


def settings(**tree: Any) -> Settings:
    providers = {"up": {"api": "openai", "api_key": "sk-1"}, "echo": {"api": "echo"}}
    models = {"priced": {"targets": ["up/a"], "prices": PRICES}, "unpriced": {"targets": ["up/b"]}, "own": {"targets": ["echo/c"]}}
    return Settings(**{"providers": providers, "models": models, **tree})


def key(**fields: Any) -> dict[str, Any]:
    return {"secret": SECRET, **fields}


KEYLESS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "openai": ({"api": "openai"}, ["up"]),
    "a service": ({"api": "openai", "base_url": "https://api.groq.com/openai/v1"}, ["up"]),
    "anthropic": ({"api": "anthropic"}, ["up"]),
    "azure": ({"api": "azure", "resource": "mine"}, ["up"]),
    "a key": ({"api": "anthropic", "api_key": "sk-1"}, []),
    "a header": ({"api": "openai", "headers": {"x-key": "sk-1"}}, []),
    "a signature": ({"api": "bedrock", "region": "eu-central-1"}, []),
    "another server": ({"api": "openai", "base_url": "http://10.0.0.7:8000/v1"}, []),
    "a server of one's own": ({"api": "openai", "base_url": "http://localhost:11434/v1"}, []),
}


@pytest.mark.parametrize(("provider", "named"), KEYLESS.values(), ids=KEYLESS)
def test_a_provider_without_a_key_is_told(told: Told, provider: dict[str, Any], named: list[str]) -> None:
    lines = told(providers={"up": provider, "echo": {"api": "echo"}})
    assert [one["providers"] for one in lines] == ([named] if named else [])


def test_a_token_is_a_key(told: Told) -> None:
    assert told(providers={"up": {"api": "anthropic"}, "echo": {"api": "echo"}}, options={"credentials": {"up": lambda: "token"}}) == []


UNPRICED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "key": ({"keys": {"k": key(budget=BUDGET)}}, ["unpriced"]),
    "key without that model": ({"keys": {"k": key(budget=BUDGET, models=["priced", "own"])}}, []),
    "key without a budget": ({"keys": {"k": key()}}, []),
    "tenant of a key": ({"keys": {"k": key(tenant="t")}, "tenants": {"t": {"budget": BUDGET}}}, ["unpriced"]),
    "tenant of others": ({"tenants": {"t": {"budget": BUDGET}}, "options": {"authenticate": lambda request: None}}, ["unpriced"]),
    "callers": ({"callers": {"budget": BUDGET}}, ["unpriced"]),
    "free": ({"callers": {"budget": BUDGET}, "unpriced": "free"}, []),
    "deny": ({"unpriced": "deny"}, ["unpriced"]),
    "function": ({"callers": {"budget": BUDGET}, "options": {"models": {"bot": lambda request: "hi"}}}, ["bot", "unpriced"]),
}


@pytest.mark.parametrize("kind", [Gateway, AsyncGateway], ids=["blocking", "async"])
@pytest.mark.parametrize(("tree", "models"), UNPRICED.values(), ids=UNPRICED)
def test_models_that_a_budget_cannot_pay_for_are_named(told: Told, kind: Any, tree: dict[str, Any], models: list[str]) -> None:
    assert told(kind, **tree) == ([{"event": "unpriced_models", "models": models}] if models else [])


USELESS: dict[str, tuple[dict[str, Any], str]] = {
    "budget": ({"keys": {"k": key(budget=BUDGET, models=["unpriced"])}}, "keys.k: can use no model, because there is a budget"),
    "tenant": (
        {"keys": {"k": key(models=["unpriced"], tenant="t")}, "tenants": {"t": {"budget": BUDGET}}},
        "keys.k: can use no model, because there is a budget",
    ),
    "deny": ({"unpriced": "deny", "keys": {"k": key(models=["unpriced"])}}, 'keys.k: can use no model, because `unpriced` is "deny"'),
}


@pytest.mark.parametrize(("tree", "text"), USELESS.values(), ids=USELESS)
def test_a_key_that_would_be_refused_at_every_request_is_an_error(told: Told, tree: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        told(**tree)
    assert str(caught.value).startswith(text)
    assert 'price_table = "genai-prices"' in str(caught.value)
    for other in (key(budget=BUDGET, models=["unpriced"], disabled=True), key(models=["unpriced"])):
        told(keys={"k": other})


def test_a_tenant_that_nobody_belongs_to_is_named(told: Told) -> None:
    tenants = {"acme": {"limits": {"requests": "60/minute"}}, "used": {}}
    keys = {"k": key(tenant="used")}
    unused = [{"event": "unused_tenants", "tenants": ["acme"]}]
    assert told(tenants=tenants, keys=keys) == unused
    assert told(tenants=tenants, keys=keys, options={"authenticate": lambda request: None}) == []
    assert told(tenants=tenants, keys=keys, stores={"ledger": "memory://"}) == []
    # In a file that is not there nobody has put keys yet.
    ledger = {"ledger": "sqlite:///new.db"}
    assert told(tenants=tenants, keys=keys, stores=ledger) == unused
    Path("new.db").touch()
    assert told(tenants=tenants, keys=keys, stores=ledger) == []


def test_a_timeout_that_leaves_no_time_for_the_next_target_is_told(told: Told) -> None:
    models = {"m": {"targets": ["up/a", "echo/c"], "fallback_on": ["timeout"]}}
    assert told(models=models) == [{"event": "no_time_to_fall_back", "model": "m", "targets": ["up/a"]}]
    assert told(models=models, request_timeout=601) == []
    hasty = {"up": {"api": "openai", "api_key": "sk-1", "timeouts": {"total": 30}}, "echo": {"api": "echo"}}
    assert told(models=models, providers=hasty) == []


def check_unwritable(told: Told, address: str, reason: str) -> None:
    assert told(stores={"ledger": address}) == [{"event": "ledger_unwritable", "reason": reason}]
    with pytest.raises(ConfigurationError) as caught:
        told(stores={"ledger": address, "strict": True})
    assert str(caught.value) == f"stores.ledger: {reason}"


FORGOTTEN: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a time": ({"cache": {"ttl": 60}}, ["cache"]),
    "a store": ({"stores": {"cache": "redis://localhost"}}, ["stores.cache"]),
    "a model": ({"models": {"m": {"targets": ["echo/c"], "cache": {"when": "always"}}}}, ["models.m.cache"]),
    "off": ({"cache": {"ttl": 60, "enabled": False}, "stores": {"cache": "redis://localhost"}}, []),
    "on": ({"cache": {"ttl": 60, "enabled": True}}, []),
    "on for one": ({"cache": {"ttl": 60}, "models": {"m": {"targets": ["echo/c"], "cache": {"enabled": True}}}}, []),
}


@pytest.mark.parametrize(("tree", "written"), FORGOTTEN.values(), ids=list(FORGOTTEN))
def test_a_cache_that_nobody_has_enabled_is_told(told: Told, tree: dict[str, Any], written: list[str]) -> None:
    expected = [{"event": "cache_not_enabled", "settings": written}] if written else []
    assert told(**tree) == expected


def test_a_ledger_in_a_folder_that_is_missing_is_told_at_once(told: Told, tmp_path: Path) -> None:
    check_unwritable(told, "sqlite:///none/ledger.db", f"the folder {tmp_path}/none is missing")


def test_a_ledger_that_is_a_folder_is_told_at_once(told: Told, tmp_path: Path) -> None:
    (tmp_path / "ledger.db").mkdir()
    check_unwritable(told, "sqlite:///ledger.db", f"{tmp_path}/ledger.db is a folder")


def test_a_ledger_in_a_folder_that_nobody_may_write_to_is_told_at_once(told: Told, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        disk.allow_writing(False)
        check_unwritable(told, "sqlite:///disk/ledger.db", f"the folder {tmp_path}/disk cannot be written to")


def test_a_ledger_that_can_be_made_is_no_trouble(told: Told) -> None:
    assert told(stores={"ledger": "sqlite:///new.db", "strict": True}) == []
    assert told(stores={"ledger": "sqlite:///new.db", "strict": True}) == []


LIMITED: dict[str, dict[str, Any]] = {
    "key": {"keys": {"k": key(limits={"requests": "60/minute"})}},
    "tenant": {"keys": {"k": key(tenant="t")}, "tenants": {"t": {"limits": {"tokens": "60/minute"}}}},
    "callers": {"callers": {"limits": {"concurrency": 1}}},
    "model": {"models": {"m": {"targets": ["echo/m"], "limits": {"concurrency": 1}}}},
}
NOT_SHARED = [{"event": "limits_not_shared", "admission": "memory://"}]


@pytest.mark.parametrize("tree", LIMITED.values(), ids=LIMITED)
def test_limits_that_several_processes_count_alone_are_told(told: Told, monkeypatch: pytest.MonkeyPatch, tree: dict[str, Any]) -> None:
    assert told(**tree) == []
    assert told(**tree, stores={"workers": 4}) == NOT_SHARED
    assert told(**tree, stores={"workers": 4, "admission": "redis://localhost"}) == []
    for number, expected in (("4", NOT_SHARED), ("1", []), ("", [])):
        monkeypatch.setenv("WEB_CONCURRENCY", number)
        assert told(**tree) == expected
        assert told() == []


def test_what_the_server_says_of_its_processes_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    gateway = Gateway(settings(**LIMITED["key"]))
    for _ in range(2):
        gateway.note_processes()
    assert [line(record) for record in caplog.records] == NOT_SHARED
    Gateway(settings()).note_processes()
    assert len(caplog.records) == 1
