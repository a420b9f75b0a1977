"""`completions-mw cache`: what is cached in Redis, for operators."""

from pathlib import Path

import pytest

from completions_mw import Gateway, Settings
from tests.support.admission import PATIENT
from tests.support.command_line import inside
from tests.support.redis_server import RedisServer

HELLO = [{"role": "user", "content": "hi"}]


@pytest.fixture
def config(redis_server: RedisServer, tmp_path: Path) -> str:
    """A settings file whose cache holds answers of a tenant, a key and the app itself."""
    file = tmp_path / "completions.toml"
    file.write_text(
        f"""
        [providers.local]
        api = "echo"
        [models.m]
        targets = ["local/m"]
        [cache]
        enabled = true
        when = "always"
        [stores]
        cache = "{redis_server.url}{PATIENT}"
        namespace = "app"
        [keys.ada]
        secret = "sk-ada-0123456789"
        tenant = "acme"
        [keys.bob]
        secret = "sk-bob-0123456789"
        """
    )
    with Gateway(Settings.from_toml(file)) as gateway:
        for key in ("sk-ada-0123456789", "sk-bob-0123456789", None):
            gateway.complete(model="m", messages=HELLO, key=key)
    return str(file)


def test_stats(config: str, redis_server: RedisServer) -> None:
    found = inside("cache", "stats", "--config", config, "--json").json
    assert found["entries"] == 3
    assert found["bytes"] == sum(redis_server.command("STRLEN", name) for name in redis_server.command("KEYS", "app:answer:*"))
    assert inside("cache", "stats", "--store", redis_server.url).out.split() == ["entries", "0", "bytes", "0"], "of another app"


def test_purge(config: str) -> None:
    purges = (("--tenant", "bob"), ("--key", "bob"), ("--tenant", "acme", "--model", "other"), ("--tenant", "acme"), ("--model", "m"))
    assert [inside("cache", "purge", *options, "--config", config).out for options in purges] == [
        f"{removed} removed\n" for removed in (0, 1, 0, 1, 1)
    ]
    assert inside("cache", "purge", "--all", "--config", config) == (0, "0 removed\n", "")


def test_a_purge_of_a_model_that_is_none(config: str) -> None:
    hint = "warning: the settings have no model `nope`; known are `m`\n"
    assert inside("cache", "purge", "--model", "nope", "--config", config) == (0, "0 removed\n", hint)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("purge",), "give --all, or what is removed"),
        (("purge", "--all", "--model", "m"), "give --all, or what is removed"),
        (("stats", "--store", "memory://"), "stores.cache: answers in memory are only visible"),
        (("stats", "--store", "http://canary"), "stores.cache: should be memory://…, redis://…, rediss://…"),
        (("stats", "--store", "redis://127.0.0.1/0?canary=1"), "stores.cache: Redis does not understand the address"),
        (("stats", "--store", "redis://:canary@127.0.0.1:1/0"), "the cache in Redis: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_failures(arguments: tuple[str, ...], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = inside("cache", *arguments)
    assert result.code == 1
    assert expected.replace("memory://…", "memory://") in result.err
    assert "canary" not in result.err
