"""The pages about settings, limits and budgets: their examples do what they say, and the full one shows every field and its default."""

import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from completions_mw import Gateway, InvalidRequestError, RateLimitError, Settings
from completions_mw.settings import (
    Allowance,
    BreakerSettings,
    CacheSettings,
    Connections,
    EchoSettings,
    EmbeddingSettings,
    KeySettings,
    LlamaCppSettings,
    ModelCacheSettings,
    ModelSettings,
    OpenAISettings,
    RetrySettings,
    StoreSettings,
    TimeoutSettings,
)
from tests.docs.pages import HELLO, KEY, SECRETS, on
from tests.support.process import free_port
from tests.support.upstream import MockUpstream
from tests.support.upstream_scenarios import SCENARIOS

LIMITS = on("docs/limits.md", "toml", "completions.toml")[0]
BUDGETS = on("docs/budgets.md", "toml", "completions.toml")[0]
PAGE = "docs/settings.md"
UPSTREAMS, EVERYTHING = on(PAGE, "toml", "completions.toml")


def test_the_limits(tmp_path: Path) -> None:
    Path(tmp_path, "completions.toml").write_text(LIMITS.code)
    with Gateway(Settings.from_toml(tmp_path / "completions.toml"), authenticate=lambda _: "ada") as gateway:
        for _ in range(20):
            gateway.complete(model="gpt-3.5-turbo", messages=HELLO, caller="ada")
        with pytest.raises(RateLimitError, match="Limit 20, Used 20, Requested 1"):
            gateway.complete(model="gpt-3.5-turbo", messages=HELLO, caller="ada")
        gateway.complete(model="gpt-3.5-turbo", messages=HELLO, key=KEY)


def test_the_budgets(tmp_path: Path) -> None:
    Path(tmp_path, "completions.toml").write_text(BUDGETS.code)
    with Gateway(Settings.from_toml(tmp_path / "completions.toml")) as gateway:
        gateway.complete(model="gpt-3.5-turbo", messages=HELLO, key=KEY)
        (own,), (shared,) = gateway.balances("team-a"), gateway.balances("acme", "tenant")
        # A token of the prompt for 150 nano-dollars, one of the answer for 600.
        assert (own.spent, own.reserved, shared.spent) == (750, 0, 750)
        with pytest.raises(InvalidRequestError, match=r"\$0\.50"):
            gateway.complete(model="gpt-3.5-turbo", messages=HELLO, key=KEY, max_tokens=1_000_000)


@pytest.fixture
def upstreams_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a deployment with upstreams."""
    config = Path(tmp_path, "completions.toml")
    config.write_text(UPSTREAMS.code)
    for name, value in {**SECRETS, "COMPLETIONS_MW_CONFIG": str(config)}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("upstreams_config")
def test_the_settings_for_upstreams(monkeypatch: pytest.MonkeyPatch) -> None:
    with MockUpstream({"gpt-4o-mini": SCENARIOS["ok"]}) as upstream:
        monkeypatch.setenv("COMPLETIONS_MW_PROVIDERS__OPENAI__BASE_URL", upstream.url)
        with Gateway(Settings.from_env()) as gateway:
            answer = gateway.complete(model="gpt-3.5-turbo", messages=HELLO, key=KEY)
    assert answer.choices[0].message.content == "Hello!"
    assert [request.model for request in upstream.requests] == ["gpt-4o-mini"]


@pytest.mark.usefixtures("upstreams_config")
def test_the_second_upstream_answers_where_the_first_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    with MockUpstream({"Qwen/Qwen3-8B": SCENARIOS["ok"]}) as upstream:
        monkeypatch.setenv("COMPLETIONS_MW_PROVIDERS__OPENAI__BASE_URL", f"http://127.0.0.1:{free_port()}/v1")
        monkeypatch.setenv("COMPLETIONS_MW_PROVIDERS__VLLM__BASE_URL", upstream.url)
        with Gateway(Settings.from_env()) as gateway:
            answer = gateway.complete(model="gpt-3.5-turbo", messages=HELLO)
    assert answer.model == "gpt-3.5-turbo"
    assert [request.model for request in upstream.requests] == ["Qwen/Qwen3-8B"]


@pytest.mark.skipif(find_spec("xllamacpp") is None, reason="xllamacpp is not installed (dependency group `local`)")
def test_the_settings_that_show_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    config = Path(tmp_path, "completions.toml")
    config.write_text(EVERYTHING.code)
    Path(tmp_path, "model.gguf").touch()
    with Gateway(Settings.from_toml(config)) as gateway:
        assert {card.id for card in gateway.models().data} == {"gpt-3.5-turbo", "local-model"}


def test_the_settings_show_every_field() -> None:
    tree = tomllib.loads(EVERYTHING.code)
    assert tree.keys() == Settings.model_fields.keys()
    assert tree["timeouts"].keys() == TimeoutSettings.model_fields.keys()
    assert tree["connections"].keys() == Connections.model_fields.keys()
    assert tree["retries"].keys() == RetrySettings.model_fields.keys()
    assert tree["breaker"].keys() == BreakerSettings.model_fields.keys()
    # A provider has one API key, or several.
    assert tree["providers"]["openai"].keys() == OpenAISettings.model_fields.keys() - {"api_keys"}
    assert "api_keys" in tree["providers"]["groq"]
    assert tree["providers"]["llama"].keys() == LlamaCppSettings.model_fields.keys()
    assert tree["providers"]["local"].keys() == EchoSettings.model_fields.keys()
    assert fields_in(tree["models"]) == ModelSettings.model_fields.keys()
    assert tree["cache"].keys() == CacheSettings.model_fields.keys()
    assert tree["embeddings"].keys() == EmbeddingSettings.model_fields.keys()
    assert tree["models"]["local-model"]["cache"].keys() == ModelCacheSettings.model_fields.keys()
    assert tree["stores"].keys() == StoreSettings.model_fields.keys()
    assert fields_in(tree["tenants"]) == tree["callers"].keys() == Allowance.model_fields.keys()
    assert fields_in(tree["keys"]) == KeySettings.model_fields.keys()


def fields_in(tables: dict[str, dict[str, Any]]) -> set[str]:
    return {name for table in tables.values() for name in table}


PARAMS = {"unknown_params", "forward_params", "unsupported_params"}


@pytest.mark.parametrize(
    ("table", "model", "examples"),
    [
        ((), Settings, {"debug", "max_cost", "unpriced", "price_table", "request_timeout"}),
        (("timeouts",), TimeoutSettings, set[str]()),
        (("connections",), Connections, set[str]()),
        (("retries",), RetrySettings, set[str]()),
        (("breaker",), BreakerSettings, set[str]()),
        (
            ("providers", "openai"),
            OpenAISettings,
            {"base_url", "organization", "project", "api_key", "headers", "proxy", "timeouts", *PARAMS},
        ),
        (("providers", "llama"), LlamaCppSettings, {"path", "pooling"}),
        (
            ("models", "gpt-3.5-turbo"),
            ModelSettings,
            {"kind", "targets", "fallback_on", "prices", "image_tokens", "audio_tokens", "file_tokens", *PARAMS},
        ),
        (("embeddings",), EmbeddingSettings, set[str]()),
        (("keys", "team-a"), KeySettings, {"secret", "tenant", "models", "expires_at", "metadata", "budget", "max_cost"}),
        (("cache",), CacheSettings, set[str]()),
        (("stores",), StoreSettings, {"admission", "ledger", "cache", "spool", "retention_days"}),
    ],
    ids=lambda value: ".".join(value) or "root" if isinstance(value, tuple) else "",
)
def test_the_settings_show_the_defaults(table: tuple[str, ...], model: type[BaseModel], examples: set[str]) -> None:
    shown = tomllib.loads(EVERYTHING.code)
    for part in table:
        shown = shown[part]
    fields = {name: field for name, field in model.model_fields.items() if name in shown and not field.is_required()}
    values = {name: field.default for name, field in fields.items() if field.default_factory is None and name not in examples}
    assert {name: shown[name] for name in values} == values
