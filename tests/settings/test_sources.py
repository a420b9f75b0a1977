"""Settings from TOML files and environment variables, and the secrets that they only point to."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from completions_mw.errors import ConfigurationError
from completions_mw.settings import LlamaCppSettings, OpenAISettings, Settings, TargetName

# A whole tree of settings.
TREE = """
prefix = "/api/v1"

[providers.openai]
api      = "openai"
base_url = "https://api.openai.com/v1"
api_key  = "env:OPENAI_API_KEY"

[models."gpt-3.5-turbo"]
targets = ["openai/gpt-4o-mini", "openai/gpt-4o"]
prices  = { input = "0.15", output = "0.60" }

[keys.team-a]
secret  = "env:TEAM_A_KEY"
tenant  = "crew"
models  = ["gpt-3.5-turbo"]
metadata = { contact = "ada@example.org" }
"""


@pytest.fixture
def toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-upstream")
    monkeypatch.setenv("TEAM_A_KEY", "sk-team-a")
    path = tmp_path / "completions.toml"
    path.write_text(TREE)
    return path


def api_key(settings: Settings, name: str = "openai") -> str | None:
    provider = settings.providers[name]
    assert isinstance(provider, OpenAISettings)
    return None if provider.api_key is None else provider.api_key.get_secret_value()


def with_api_key(written: str) -> dict[str, Any]:
    return {"providers": {"openai": {"api": "openai", "api_key": written}}}


def test_the_example_of_the_design_loads(toml: Path) -> None:
    settings = Settings.from_toml(toml)
    assert api_key(settings) == "sk-upstream"
    model, key = settings.models["gpt-3.5-turbo"], settings.keys["team-a"]
    assert model.targets == (TargetName("openai", "gpt-4o-mini"), TargetName("openai", "gpt-4o"))
    assert model.prices is not None
    assert (model.prices.input, model.prices.output) == (Decimal("0.15"), Decimal("0.60"))
    assert (key.tenant, key.models, key.metadata) == ("crew", ("gpt-3.5-turbo",), {"contact": "ada@example.org"})


def test_all_ways_lead_to_the_same_settings(toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = {
        "providers": {"openai": {"api": "openai", "api_key": "env:OPENAI_API_KEY"}},
        "models": {
            "gpt-3.5-turbo": {"targets": ["openai/gpt-4o-mini", "openai/gpt-4o"], "prices": {"input": "0.15", "output": "0.60"}},
        },
        "keys": {
            "team-a": {
                "secret": "env:TEAM_A_KEY",
                "tenant": "crew",
                "models": ["gpt-3.5-turbo"],
                "metadata": {"contact": "ada@example.org"},
            },
        },
    }
    expected = Settings.from_toml(str(toml))
    assert Settings(**tree) == expected
    assert Settings.from_mapping(tree) == expected
    assert Settings.from_mapping(MappingProxyType(tree)) == expected
    for name, table in tree.items():
        monkeypatch.setenv(f"GATEWAY_{name.upper()}", json.dumps(table))
    assert Settings.from_env("GATEWAY_") == expected


def test_variables_replace_what_the_file_says(toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPLETIONS_MW_CONFIG", str(toml))
    monkeypatch.setenv("COMPLETIONS_MW_PREFIX", "")
    monkeypatch.setenv("COMPLETIONS_MW_KEEP_ALIVE", "0.5")
    monkeypatch.setenv("COMPLETIONS_MW_DEBUG", "true")
    monkeypatch.setenv("COMPLETIONS_MW_PROVIDERS__OPENAI__API_KEY", "00123456")
    monkeypatch.setenv("COMPLETIONS_MW_PROVIDERS__OPENAI__TIMEOUTS__TOTAL", "20")
    settings = Settings.from_env()
    assert (settings.prefix, settings.keep_alive, settings.debug) == ("", 0.5, True)
    assert api_key(settings) == "00123456"
    provider = settings.providers["openai"]
    assert isinstance(provider, OpenAISettings)
    assert (provider.timeouts.connect, provider.timeouts.total) == (3.0, 20.0)
    assert list(settings.keys) == ["team-a"]


def test_a_table_and_its_fields_may_come_from_different_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPLETIONS_MW_PROVIDERS__UP__API_KEY", "sk-upstream")
    monkeypatch.setenv("COMPLETIONS_MW_PROVIDERS", '{"up": {"api": "openai", "api_key": "sk-other"}}')
    assert api_key(Settings.from_env(), "up") == "sk-upstream"


def test_no_variables_are_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPLETIONS_MW_CONFIG", "")
    assert Settings.from_env() == Settings()


def test_a_file_that_is_not_there_is_named_with_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMPLETIONS_MW_CONFIG", "missing.toml")
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_env()
    assert str(caught.value) == f"{tmp_path / 'missing.toml'}: cannot be read: No such file or directory"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("COMPLETIONS_MW_PREFX", "/v1", "prefx: is not a field here; did you mean `prefix`?"),
        ("COMPLETIONS_MW_PROVIDERS__UP__API", "canary", "providers.up.api: should be "),
        ("COMPLETIONS_MW_MAX_DEPTH", "canary", "max_depth: should be "),
        ("COMPLETIONS_MW_KEYS", '{"a": {"secret": "canary"', "COMPLETIONS_MW_KEYS: starts as JSON, but is none"),
        ("COMPLETIONS_MW_PREFIX__X", "canary", "COMPLETIONS_MW_PREFIX__X: `prefix` is not a table"),
        ("COMPLETIONS_MW_CACHE__ENABLED", "canary", "cache.enabled: should be "),
    ],
)
def test_wrong_variables_are_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str) -> None:
    monkeypatch.setenv("COMPLETIONS_MW_PREFIX", "/v1")
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_env()
    assert str(caught.value).startswith(message)
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[keys.a]\nsecret = 'canary", "is not TOML: "),
        (b"# caf\xe9 canary", "is not text in UTF-8"),
        (b"max_depth = " + b"9" * 5000, "is not TOML: "),
    ],
    ids=["syntax", "encoding", "huge number"],
)
def test_a_file_that_is_not_toml_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "completions.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_toml(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "completions.toml"
    path.write_bytes(b'\xef\xbb\xbfprefix = "/v1"')
    assert Settings.from_toml(path).prefix == "/v1"


@pytest.mark.parametrize("content", [b"sk-file", b"sk-file\n", b"sk-file\r\n"], ids=["plain", "LF", "CRLF"])
def test_a_secret_may_be_in_a_file_beside_the_settings(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "key").write_bytes(content)
    path = tmp_path / "completions.toml"
    path.write_text('[providers.openai]\napi = "openai"\napi_key = "file:secrets/key"')
    assert api_key(Settings.from_toml(path)) == "sk-file"


def test_without_a_file_relative_paths_start_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("sk-file\n")
    monkeypatch.chdir(tmp_path)
    assert api_key(Settings.from_mapping(with_api_key("file:key"))) == "sk-file"
    assert api_key(Settings(**with_api_key(f"file:{tmp_path / 'key'}"))) == "sk-file"


def test_a_model_file_is_found_beside_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "completions.toml"
    path.write_text('providers.local = { api = "llama_cpp", path = "tiny.gguf" }')
    provider = Settings.from_toml(path).providers["local"]
    assert isinstance(provider, LlamaCppSettings)
    assert provider.path == str(tmp_path / "tiny.gguf")


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("env:ABSENT", "the environment variable ABSENT is not set"),
        ("env:EMPTY", "is empty"),
        ("env:", "should be `env:` and the name of an environment variable"),
        ("env:sk-canary", "should be `env:` and the name of an environment variable"),
        ("env:SPACED", "should be 1 to 4096 printable ASCII characters without spaces"),
        ("file:absent", "the file cannot be read: No such file or directory"),
        ("file:.", "the file cannot be read: Is a directory"),
        ("file:empty", "is empty"),
        ("file:two-lines", "should be 1 to 4096 printable ASCII characters without spaces"),
        ("file:huge", "the file is too large for a secret"),
        ("file:latin-1", "the file is not text in UTF-8"),
        ("file:nul\0", "embedded null byte"),
    ],
)
def test_secrets_that_cannot_be_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ABSENT", raising=False)
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.setenv("SPACED", "sk-canary\n")
    contents = {"empty": b"\n", "two-lines": b"sk-canary\n\n", "huge": b"canary" * 20_000, "latin-1": b"canary\xe9"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        Settings(**with_api_key(written))
    assert str(caught.value) == f"providers.openai.api_key: {message}"
    assert caught.value.__context__ is None


SPELLINGS: dict[str, str] = {
    "${API_KEY}": "should be written `env:API_KEY`",
    "${API_KEY:-sk-canary}": "should be written `env:API_KEY`",
    "$API_KEY": "should be written `env:API_KEY`",
    "$env:API_KEY": "should be written `env:API_KEY`",
    "%API_KEY%": "should be written `env:API_KEY`",
    "{{API_KEY}}": "should be written `env:API_KEY`",
    "{{ api_key }}": "should be written `env:api_key`",
    '{{ env "canary" }}': "should be written `env:NAME`",
    "os.environ/API_KEY": "should be written `env:API_KEY`",
    'os.environ["API_KEY"]': "should be written `env:API_KEY`",
    "ENV:API_KEY": "should be written `env:API_KEY`",
    "Env:API_KEY": "should be written `env:API_KEY`",
    " env:API_KEY": "should be written `env:API_KEY`",
    "ENV:sk-canary": "should be written `env:NAME`",
    "FILE:canary": "should be written `file:PATH`, in lower case",
    "canary-${API_KEY}": "holds a variable; put the whole value into one, and write `env:NAME` instead of `${API_KEY}` within it",
}
PLACES: dict[str, tuple[Callable[[str], dict[str, Any]], str]] = {
    "api_key": (with_api_key, "providers.openai.api_key"),
    "header": (lambda text: {"providers": {"up": {"api": "openai", "headers": {"x-key": text}}}}, "providers.up.headers.x-key"),
    "key": (lambda text: {"keys": {"a": {"secret": text}}}, "keys.a.secret"),
    "admission": (lambda text: {"stores": {"admission": text}}, "stores.admission"),
    "ledger": (lambda text: {"stores": {"ledger": text}}, "stores.ledger"),
}


@pytest.mark.parametrize(("place", "path"), PLACES.values(), ids=PLACES)
@pytest.mark.parametrize(("written", "message"), SPELLINGS.items(), ids=SPELLINGS)
def test_a_reference_as_others_spell_it_is_no_secret(
    monkeypatch: pytest.MonkeyPatch, place: Callable[[str], dict[str, Any]], path: str, written: str, message: str
) -> None:
    monkeypatch.setenv("API_KEY", "sk-canary")
    with pytest.raises(ConfigurationError) as caught:
        Settings(**place(written))
    assert str(caught.value) == f"{path}: {message}"


@pytest.mark.parametrize("secret", ["$ecret-of-mine", "pa$$WORD", "100%sure%of", "sk-env:KEY", "a{{b}}", "$", "os.environment"])
def test_secrets_that_only_look_odd_are_secrets(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    assert api_key(Settings(**with_api_key(secret))) == secret
    # Whatever stands in a variable or a file is the secret itself.
    monkeypatch.setenv("API_KEY", "${SECRET}")
    assert api_key(Settings(**with_api_key("env:API_KEY"))) == "${SECRET}"


def test_every_secret_may_be_a_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHARED", "redis://:password@cache.test")
    settings = Settings(
        providers={"up": {"api": "openai", "headers": {"x-key": "env:SHARED"}}},
        keys={"a": {"secret": "env:SHARED"}},
    )
    provider = settings.providers["up"]
    assert isinstance(provider, OpenAISettings)
    assert provider.headers["x-key"].get_secret_value() == "redis://:password@cache.test"
    assert settings.keys["a"] == Settings(keys={"a": {"secret": "redis://:password@cache.test"}}).keys["a"]
