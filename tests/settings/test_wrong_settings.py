"""Wrong settings are refused when they are built, with the field named and no value shown (docs/promises.md, Secrets)."""

import re
from pathlib import Path
from typing import Any

import pytest

from completions_mw.errors import ConfigurationError
from completions_mw.settings import Rate, Settings

SECRET = "canary-1-canary"
DIGEST = "0" * 64


def provider(**fields: Any) -> dict[str, Any]:
    return {"providers": {"up": {"api": "openai"} | fields}}


def llama(**fields: Any) -> dict[str, Any]:
    return {"providers": {"local": {"api": "llama_cpp", "path": "model.gguf"} | fields}}


def model(name: str = "m", **fields: Any) -> dict[str, Any]:
    return {"providers": {"up": {"api": "echo"}}, "models": {name: {"targets": ["up/x"]} | fields}}


def key(**fields: Any) -> dict[str, Any]:
    return {"keys": {"a": {"secret": SECRET} | fields}}


WRONG: list[tuple[str, dict[str, Any], str]] = [
    # the path of the field, the settings, words that the message must have
    ("prefix", {"prefix": "api/v1"}, "starts with `/`"),
    ("prefix", {"prefix": "/api/v1/"}, "does not end with it"),
    ("prefix", {"prefix": "/"}, '"" for the root'),
    ("prefix", {"prefix": "/api//v1"}, "a path"),
    ("prefix", {"prefix": "/api?v=1"}, "a path"),
    ("prefix", {"prefix": "/api/../v1"}, "`..` segments"),
    ("prefix", {"prefix": "/api/v1\n"}, "a path"),
    ("prefix", {"prefix": "/%61pi"}, "a path"),
    ("prefix", {"prefix": None}, "valid string"),
    ("prefx", {"prefx": "/v1"}, "did you mean `prefix`?"),
    ("unknown_params", {"unknown_params": "drop"}, "'reject', 'forward' or 'ignore'"),
    ("max_body_bytes", {"max_body_bytes": 0}, "greater than or equal to 1"),
    ("max_body_bytes", {"max_body_bytes": True}, "not true or false"),
    ("max_body_bytes", {"max_body_bytes": "10MB"}, "valid integer"),
    ("max_body_bytes", {"max_body_bytes": 2**31}, "less than or equal to"),
    ("max_depth", {"max_depth": 201}, "less than or equal to 200"),
    ("max_items", {"max_items": 1.5}, "valid integer"),
    ("max_messages", {"max_messages": -1}, "greater than or equal to 1"),
    ("max_response_bytes", {"max_response_bytes": float("inf")}, "finite"),
    ("max_event_bytes", {"max_event_bytes": []}, "valid integer"),
    ("keep_alive", {"keep_alive": 301}, "less than or equal to 300"),
    ("keep_alive", {"keep_alive": -0.1}, "greater than or equal to 0"),
    ("keep_alive", {"keep_alive": False}, "not true or false"),
    ("body_timeout", {"body_timeout": 0}, "greater than 0"),
    ("timeouts.connect", {"timeouts": {"connect": 0}}, "greater than 0"),
    ("timeouts.total", {"timeouts": {"total": float("nan")}}, "finite"),
    ("timeouts.read", {"timeouts": {"read": 5}}, "known are `connect`, `first_byte`"),
    ("timeouts", {"timeouts": 30}, "should be a table"),
    ("connections.max", {"connections": {"max": 0}}, "greater than or equal to 1"),
    ("connections.keep_alive", {"connections": {"keep_alive": -1}}, "greater than or equal to 0"),
    ("providers", {"providers": ["openai"]}, "should be a table"),
    ("providers.up", {"providers": {"up": "openai"}}, "should be a table"),
    ("providers.up.api", {"providers": {"up": {}}}, "is missing"),
    ("providers.up.api", provider(api=7), "'openai', 'azure', 'anthropic', 'gemini', 'bedrock', 'custom', 'llama_cpp' or 'echo'"),
    ("providers.a/b", {"providers": {"a/b": {"api": "echo"}}}, "letters, digits"),
    ("providers.", {"providers": {"": {"api": "echo"}}}, "1 to 128"),
    ("providers.up.apikey", provider(apikey=SECRET), "did you mean `api_key`?"),
    ("providers.up.path", provider(path="model.gguf"), "is not a field here"),
    ("transport", {"transport": "httpx"}, "'httptools' or 'httpx2'"),
    ("providers.up.proxy", provider(proxy=f"socks5://me:{SECRET}@proxy.test:1080"), "an HTTP proxy"),
    ("providers.up.proxy", provider(proxy=f"https://me:{SECRET}@proxy.test:3128"), "an HTTP proxy"),
    ("providers.up.proxy", provider(proxy=f"http://me:{SECRET}@proxy.test:3128/path"), "an HTTP proxy"),
    ("providers.up.proxy", provider(proxy=f"http://me:{SECRET}@:3128"), "name a host"),
    ("providers.up.proxy", provider(proxy="http://proxy.test:0"), "port from 1 to 65535"),
    ("providers.up.base_url", provider(base_url="api.openai.com/v1"), "starts with http"),
    ("providers.up.base_url", provider(base_url="ftp://files.test/v1"), "starts with http"),
    ("providers.up.base_url", provider(base_url="https:///v1"), "name a host"),
    ("providers.up.base_url", provider(base_url="https://up.test:0/v1"), "port from 1 to 65535"),
    ("providers.up.base_url", provider(base_url="https://up.test:65536/v1"), "port from 1 to 65535"),
    ("providers.up.base_url", provider(base_url=f"https://up.test:{SECRET}/v1"), "port from 1 to 65535"),
    ("providers.up.base_url", provider(base_url="https://[::1/v1"), "name a host"),
    ("providers.up.base_url", provider(base_url=f"https://me:{SECRET}@up.test/v1"), "no user name and password"),
    ("providers.up.base_url", provider(base_url=f"https://up.test/v1?key={SECRET}"), "no query"),
    ("providers.up.base_url", provider(base_url="https://up.test/v1#"), "no fragment"),
    ("providers.up.base_url", provider(base_url="https://up.test/v1\r\nx: y"), "URL"),
    ("providers.up.base_url", provider(base_url="https://up.test\\v1"), "URL"),
    ("providers.up.base_url", provider(base_url="https://up.test/v1/chat/completions"), "end before `/chat/completions`"),
    ("providers.up.base_url", provider(base_url="https://up.test/v1/Chat/Completions/"), "end before `/chat/completions`"),
    ("providers.up.api_key", provider(api_key=""), "is empty"),
    ("providers.up.api_key", provider(api_key=f"{SECRET} "), "printable ASCII"),
    ("providers.up.api_key", provider(api_key=f"{SECRET}\n"), "printable ASCII"),
    ("providers.up.api_key", provider(api_key=f"{SECRET}é"), "printable ASCII"),
    ("providers.up.api_key", provider(api_key=SECRET * 300), "1 to 4096"),
    ("providers.up.api_key", provider(api_key={"value": SECRET}), "text"),
    ("providers.up.version", provider(api="anthropic", version="latest"), "a version of the API, such as 2026-10-21"),
    ("providers.up.auth", provider(api="anthropic", auth="basic"), "'x-api-key' or 'bearer'"),
    ("providers.up.headers.x-api-key", provider(api="anthropic", headers={"X-Api-Key": SECRET}), "the gateway sets itself"),
    (
        "providers.up.resource",
        {"providers": {"up": {"api": "azure"}}},
        "is missing, and the environment variable AZURE_OPENAI_ENDPOINT is not set",
    ),
    ("providers.up.resource", {"providers": {"up": {"api": "azure", "resource": "a.b"}}}, "name of a resource"),
    ("providers.up.api_version", {"providers": {"up": {"api": "azure", "api_version": "2024"}}}, "v1, preview, or a version"),
    ("providers.up.headers.api-key", {"providers": {"up": {"api": "azure", "headers": {"API-Key": SECRET}}}}, "the gateway sets itself"),
    ("providers.up.base_url", {"providers": {"up": {"api": "custom"}}}, "is missing"),
    ("providers.up.headers.host", provider(headers={"Host": "up.test"}), "the gateway sets itself"),
    ("providers.up.headers.authorization", provider(headers={"Authorization": SECRET}), "the gateway sets itself"),
    ("providers.up.headers.x key", provider(headers={"x key": SECRET}), "a header name"),
    (r"providers.up.headers.x\r\ny", provider(headers={"x\r\ny": SECRET}), "a header name"),
    ("providers.up.headers.x-key", provider(headers={"x-key": f"{SECRET}\r\ny: z"}), "printable ASCII"),
    ("providers.up.headers.x-key", provider(headers={"x-key": 5}), "text"),
    ("providers.up.organization", provider(organization="a b"), "without spaces"),
    ("providers.up.project", provider(project="proj\n"), "without spaces"),
    ("providers.up.timeouts.first_byte", provider(timeouts={"first_byte": "soon"}), "should be a valid number"),
    ("providers.local.path", llama(path=""), "is empty"),
    ("providers.local.path", llama(path=1), "valid string"),
    ("providers.local.context", llama(context=0), "greater than or equal to 1"),
    ("providers.local.threads", llama(threads="all"), "valid integer"),
    ("providers.local.parallel", llama(parallel=None), "valid integer"),
    ("providers.local.api_key", llama(api_key=SECRET), "is not a field here"),
    ("models.m.targets", model(targets=[]), "at least one item"),
    ("models.m.targets[0]", model(targets=["gpt-4o"]), "`provider/model`"),
    ("models.m.targets[1]", model(targets=["up/x", "/x"]), "`provider/model`"),
    ("models.m.targets[0]", model(targets=["up/"]), "`provider/model`"),
    ("models.m.targets[0]", model(targets=["up/a b"]), "without spaces"),
    ("models.m.targets[0].up/x", model(targets=[{"up/x": 1}]), "known are `target`, `weight`"),
    ("models.m.targets[1].weight", model(targets=["up/x", {"target": "up/x", "weight": 0}]), "greater than 0"),
    ("models.m.targets[0].weight", model(targets=[{"target": "up/x", "weight": True}]), "a number, not true or false"),
    ("models.m.targets[0].target", model(targets=[{"target": "x", "weight": 1}]), "`provider/model`"),
    ("models.m.fallback_on", model(targets=["up/x"], fallback_on="timeout"), "should be a list"),
    ("models.m.fallback_on[0]", model(targets=["up/x"], fallback_on=["500"]), "'timeout'"),
    ("retries.attempts", {"retries": {"attempts": 0}}, "greater than or equal to 1"),
    ("breaker.failure_rate", {"breaker": {"failure_rate": 1.5}}, "less than or equal to 1"),
    ("providers.up.api_keys", {"providers": {"up": {"api": "openai", "api_key": "k", "api_keys": ["k"]}}}, "beside `api_key`"),
    ("models.gpt-3.5-turbo.targets[0]", model("gpt-3.5-turbo", targets=["upp/x"]), "`upp` is not a provider; did you mean `up`?"),
    ("models.m.targets[1]", model(targets=["up/x", "elsewhere/x"]), "known are `up`"),
    ("models.m.targets[0]", {"models": {"m": {"targets": ["up/x"]}}}, "there are none"),
    ("models.my model", model("my model"), "without spaces"),
    (r"models.m\x00", model("m\0"), "printable"),
    ("models." + "m" * 77 + "...", model("m" * 257), "1 to 256"),
    ("models.m.prices.output", model(prices={"input": "0.15"}), "is missing"),
    ("models.m.prices.output", {"models": {"m": {"prices": {"input": "0.15"}}}}, 'only a model with `kind = "embeddings"` has none'),
    ("models.m.prices.input", model(prices={"input": "-1", "output": "1"}), "greater than or equal to 0"),
    ("models.m.prices.input", model(prices={"input": "NaN", "output": "1"}), "finite"),
    ("models.m.prices.output", model(prices={"input": "1", "output": "cheap"}), "decimal"),
    ("models.m.prices.reasoning", model(prices={"input": 1, "output": 1, "reasoning": True}), "not true or false"),
    ("models.m.created", model(created=-1), "greater than or equal to 0"),
    ("models.m.owned_by", model(owned_by=""), "1 to 256"),
    ("keys.a", {"keys": {"a": {}}}, "exactly one of `secret` and `secret_sha256`"),
    ("keys.a", key(secret_sha256=DIGEST), "exactly one of `secret` and `secret_sha256`"),
    ("keys.a.secret", key(secret="canary"), "8 to 505"),
    ("keys.a.secret", key(secret="canary" * 100), "8 to 505"),
    ("keys.a.secret", key(secret=f"{SECRET} {SECRET}"), "without spaces"),
    ("keys.a.secret", key(secret=f"{SECRET},{SECRET}"), "without spaces and commas (servers join repeated headers with commas)"),
    ("keys.a.secret", key(secret=12345678), "text"),
    ("keys.a.secret_sha256", {"keys": {"a": {"secret_sha256": "canary"}}}, "64 hexadecimal"),
    ("keys.a.secret_sha256", {"keys": {"a": {"secret_sha256": ""}}}, "64 hexadecimal"),
    ("keys.b", {"keys": {"a": {"secret": SECRET}, "b": {"secret": SECRET}}}, "another secret than keys.a"),
    ("keys.-a", {"keys": {"-a": {"secret": SECRET}}}, "the first one a letter or a digit"),
    ("keys.team a", {"keys": {"team a": {"secret": SECRET}}}, "letters, digits"),
    ("keys.a.tenant", key(tenant=""), "1 to 128"),
    ("keys.a.tenant", key(tenant="x" * 129), "1 to 128"),
    ("keys.a.models", key(models=[]), "at least one item"),
    ("keys.a.models", key(models="m"), "should be a list"),
    ("keys.a.models[1]", key(models=["m", "a b"]), "without spaces"),
    ("keys.a.expires_at", key(expires_at="2027-01-31T00:00:00"), "offset from UTC"),
    ("keys.a.expires_at", key(expires_at="next year"), "offset from UTC"),
    ("keys.a.expires_at", key(expires_at=1798761600), "offset from UTC"),
    ("keys.a.expires_at", key(expires_at="20270131"), "offset from UTC"),
    ("keys.a.expires_at", key(expires_at="9999-12-31T23:59:59-12:00"), "1970 to 9998"),
    ("keys.a.expires_at", key(expires_at="0001-01-01T00:00:00+12:00"), "1970 to 9998"),
    ("keys.a.disabled", key(disabled="maybe"), "valid boolean"),
    ("keys.a.metadata.team", key(metadata={"team": 5}), "valid string"),
    ("keys.a.limits.requests", key(limits={"requests": "60"}), "60/minute"),
    ("keys.a.limits.requests", key(limits={"requests": "0/minute"}), "60/minute"),
    ("keys.a.limits.requests", key(limits={"requests": "60/fortnight"}), "60/minute"),
    ("keys.a.limits.requests", key(limits={"requests": ["60/minute", "canary"]}), "60/minute"),
    ("keys.a.limits.tokens", key(limits={"tokens": 100000}), "60/minute"),
    ("keys.a.limits.tokens", key(limits={"tokens": "10000000000000000/day"}), "60/minute"),
    ("keys.a.limits.requests", key(limits={"requests": [Rate(60, 0)]}), "60/minute"),
    ("keys.a.limits.requests", key(limits={"requests": ["60/minute", Rate(0, 60)]}), "60/minute"),
    ("keys.a.limits.requests", key(limits={"requests": [Rate(60, 400 * 86_400)]}), "60/minute"),
    ("keys.a.limits.tokens", key(limits={"tokens": [Rate(10**16, 60)]}), "60/minute"),
    ("keys.a.limits.tokens", key(limits={"tokens": [Rate(True, 60)]}), "60/minute"),
    ("keys.a.limits.tokens", key(limits={"tokens": [Rate(60, 0.5)]}), "60/minute"),  # type: ignore[arg-type]
    ("keys.a.limits.tokens", key(limits={"tokens": [Rate("60", 60)]}), "60/minute"),  # type: ignore[arg-type]
    ("keys.a.limits.concurrency", key(limits={"concurrency": 0}), "greater than or equal to 1"),
    ("keys.a.limits.request", key(limits={"request": "60/minute"}), "did you mean `requests`?"),
    ("keys.a.budget.period", key(budget={"usd": "10"}), "is missing"),
    ("keys.a.budget.period", key(budget={"usd": "10", "period": "year"}), "'month' or 'total'"),
    ("keys.a.budget.usd", key(budget={"usd": "0", "period": "month"}), "greater than 0"),
    ("keys.a.budget.usd", key(budget={"usd": "0.0000000001", "period": "month"}), "9 decimal places"),
    ("keys.a.max_cost", key(max_cost=True), "not true or false"),
    ("tenants.t.budget.usd", {"tenants": {"t": {"budget": {"usd": -1, "period": "day"}}}}, "greater than 0"),
    ("callers.limits.tokens", {"callers": {"limits": {"tokens": ""}}}, "60/minute"),
    ("unpriced", {"unpriced": "ask"}, "'deny' or 'free'"),
    ("stores.admission", {"stores": {"admission": "sqlite:///x.db"}}, "memory://, redis://…"),
    ("stores.admission", {"stores": {"admission": "redis"}}, "memory://, redis://…"),
    ("stores.admission", {"stores": {"admission": f"redis://:{SECRET}@"}}, "name a host"),
    ("stores.admission", {"stores": {"admission": "memory://x"}}, "nothing after"),
    ("stores.ledger", {"stores": {"ledger": "mysql://db"}}, "memory://, sqlite://…, postgresql://…"),
    ("stores.ledger", {"stores": {"ledger": "sqlite://completions.db"}}, "name a file"),
    ("stores.ledger", {"stores": {"ledger": "sqlite:///"}}, "name a file"),
    ("stores.ledger", {"stores": {"ledger": f"postgresql://me:{SECRET}@db\n"}}, "postgresql"),
    ("stores.ledgers", {"stores": {"ledgers": "memory://"}}, "did you mean `ledger`?"),
    ("stores.ledger_timeout", {"stores": {"ledger_timeout": 0}}, "greater than 0"),
    ("stores.ledger_timeout", {"stores": {"ledger_timeout": 61}}, "less than or equal to 60"),
    ("stores.lease_ttl", {"stores": {"lease_ttl": 0.5}}, "greater than or equal to 1"),
    ("stores.key_cache", {"stores": {"key_cache": 6}}, "less than or equal to 5"),
    ("stores.retention_days", {"stores": {"retention_days": 36_501}}, "less than or equal to 36500"),
    ("stores.retention_days", {"stores": {"retention_days": 0}}, "greater than or equal to 1"),
    ("stores.admission_failure", {"stores": {"admission_failure": "ignore"}}, "'local', 'closed' or 'open'"),
]


@pytest.mark.parametrize(("path", "wrong", "words"), WRONG, ids=[f"{number}-{row[0]}"[:40] for number, row in enumerate(WRONG)])
def test_a_wrong_setting_is_named_and_not_shown(path: str, wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings(**wrong)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert words in message
    assert "\n" not in message
    assert "canary" not in message


UNQUOTED = {
    "[models.gpt-3.5-turbo]\ntargets = ['up/x']": 'models.gpt-3.5-turbo: {}, as [models."gpt-3.5-turbo"]',
    "[models.gpt-4.1.mini]\ntargets = ['up/x']": 'models.gpt-4.1.mini: {}, as [models."gpt-4.1.mini"]',
    "[models.gpt-4.1]\nprices = { input = 1, output = 2 }": 'models.gpt-4.1: {}, as [models."gpt-4.1"]',
    "[keys.team.a]\nsecret = 'canary-1-canary'": 'keys.team.a: {}, as [keys."team.a"]',
    "[tenants.acme.com.budget]\nusd = 1": 'tenants.acme.com: {}, as [tenants."acme.com"]',
}


@pytest.mark.parametrize(("toml", "expected"), UNQUOTED.items(), ids=UNQUOTED)
def test_a_name_with_a_dot_is_to_be_quoted(tmp_path: Path, toml: str, expected: str) -> None:
    file = tmp_path / "completions.toml"
    file.write_text(toml)
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_toml(file)
    assert str(caught.value) == expected.format("is not a field here; a name that holds a dot is written in quotes")


@pytest.mark.parametrize(
    "wrong", [{"keys": {"a": {"limit": {}}}}, {"callers": {"5": {}}}, {"x": {"y": {}}}, key(budget={"x": {}})], ids=str
)
def test_nothing_is_said_of_quotes_where_they_would_not_help(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings(**wrong)
    assert "is not a field here; " in str(caught.value)
    assert "quotes" not in str(caught.value)


@pytest.mark.parametrize(
    ("cache", "expected"),
    [
        ({"when": "sometimes"}, "cache.when: should be"),
        ({"scope": "user"}, "cache.scope: should be"),
        ({"ttl": 0}, "cache.ttl: should be"),
        ({"ttl": 0.0009}, "cache.ttl: should be"),
        ({"ttl": 31_536_001}, "cache.ttl: should be"),
        ({"memory_bytes": -1}, "cache.memory_bytes: should be"),
        ({"enable": True}, "cache.enable: is not a field here; did you mean `enabled`?"),
        ("redis://cache.test", "cache: should be a table"),
    ],
    ids=str,
)
def test_wrong_settings_of_the_cache_are_named(cache: Any, expected: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{re.escape(expected)}"):
        Settings(cache=cache)
    if isinstance(cache, dict) and "memory_bytes" not in cache:
        with pytest.raises(ConfigurationError, match=f"^models.m.{re.escape(expected.partition(':')[0])}: "):
            Settings(models={"m": {"cache": cache}})


@pytest.mark.parametrize("given", [None, [], "prefix", 5], ids=repr)
def test_settings_that_are_no_table_are_refused(given: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^settings: should be a table$"):
        Settings.from_mapping(given)


def test_a_name_that_is_no_text_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^keys\[1\]: "):
        Settings.from_mapping({"keys": {1: {"secret": SECRET}}})


def test_every_wrong_setting_gets_a_line() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings(prefix="/", keep_alive=-1, providers={"up": {"api": "openai", "base_url": "x", "timeouts": {"total": 0}}})
    lines = str(caught.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["prefix", "keep_alive", "providers.up.base_url", "providers.up.timeouts.total"]


def test_the_error_carries_no_values() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings(**provider(api_key=f"{SECRET} "))
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
