"""Nothing secret of stores in logs at DEBUG, errors, reprs, tables, Redis or on the command line (docs/promises.md, Secrets)."""

import json
import logging
import pickle
import re
import sqlite3
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from psycopg import sql

from completions_mw import (
    BudgetAlert,
    ConfigurationError,
    Gateway,
    JsonFormatter,
    KeyExistsError,
    KeyNotFoundError,
    NewKey,
    Settings,
    StoreError,
)
from tests.faults.conftest import KEY, UPSTREAM_KEY
from tests.faults.crowd import Crowd, asking, every_crowd
from tests.faults.redis_faults import PASSWORD as REDIS_PASSWORD
from tests.faults.test_secrets import CONTENT, MESSAGES, leaked
from tests.support.command_line import process
from tests.support.postgres_server import PostgresServer
from tests.support.process import free_port
from tests.support.redis_server import RedisServer
from tests.support.upstream import MockUpstream

WRONG_KEY = "sk-cmw-canarywrong0-0123456789012345678901234567890123456789abc"
POSTGRES_PASSWORD = "canary-postgres-password"
PASSWORDS = (REDIS_PASSWORD, POSTGRES_PASSWORD)
TOOLS = [{"type": "function", "function": {"name": "f", "description": CONTENT}}]


class Stand(NamedTuple):
    """Where the stores are, and how to see all that they keep."""

    redis: RedisServer
    ledger: str
    dump: Callable[[], str]


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer("--requirepass", REDIS_PASSWORD) as server:
        yield server


@pytest.fixture(params=["postgresql", "sqlite"])
def stand(request: pytest.FixtureRequest, redis: RedisServer, tmp_path: Path) -> Stand:
    redis.flush()
    if request.param == "sqlite":
        path = tmp_path / "ledger.db"
        return Stand(redis, f"sqlite:///{path}", lambda: dump_of_sqlite(path))
    address = request.getfixturevalue("postgres").new_database()
    return Stand(redis, address.replace("postgres@", f"postgres:{POSTGRES_PASSWORD}@"), lambda: dump_of_postgres(address))


def dump_of_sqlite(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return "\n".join(connection.iterdump()) + str([file.read_bytes() for file in path.parent.glob(f"{path.name}*")])


def dump_of_postgres(address: str) -> str:
    with psycopg.connect(address) as connection:
        tables = connection.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'completions_mw'").fetchall()
        assert len(tables) >= 4
        whole = sql.SQL("SELECT t::text FROM completions_mw.{} AS t")
        return str([connection.execute(whole.format(sql.Identifier(name))).fetchall() for (name,) in tables])


def dump_of_redis(server: RedisServer) -> str:
    names = server.command("KEYS", "*")
    assert names
    # As it would be saved, whatever the type.
    return str([(name, server.command("DUMP", name)) for name in names])


def settings(stand: Stand, upstream: MockUpstream, **stores: Any) -> Settings:
    model = {"targets": ["up/ok"], "prices": {"input": "1000", "output": "2000"}, "max_output_tokens": 10}
    limits = {"requests": "100/hour", "tokens": "1000000/hour", "concurrency": 5}
    return Settings.from_mapping(
        {
            "providers": {"up": {"api": "openai", "base_url": upstream.url, "api_key": UPSTREAM_KEY}},
            "models": {"ok": model, "tools": {**model, "targets": ["up/tools"]}},
            "keys": {"client": {"secret": KEY, "limits": limits}},
            "stores": {
                "admission": f"redis://:{REDIS_PASSWORD}@127.0.0.1:{stand.redis.port}/0?socket_timeout=5",
                "ledger": stand.ledger,
                "ledger_timeout": 10,
                "lease_ttl": 1,
                "key_cache": 0,
                **stores,
            },
        }
    )


def found(text: str, *keys: NewKey) -> list[str]:
    """Return the secrets that `text` shows."""
    # Of a key, what follows its public id.
    secrets = (*PASSWORDS, *(key.rpartition("-")[2] for key in (WRONG_KEY, *(new.secret for new in keys))))
    return [*leaked(text), *(secret for secret in secrets if secret in text)]


def logged(caplog: pytest.LogCaptureFixture) -> str:
    return caplog.text + "".join(repr(record.__dict__) for record in caplog.records)


def ask_everything(crowd: Crowd, key: str) -> list[int]:
    requests = [asking(key, model, messages=MESSAGES, stream=stream, tools=TOOLS) for model in ("ok", "tools") for stream in (False, True)]
    return [crowd.send(request).status for request in requests]


def manage(operator: Gateway) -> list[NewKey]:
    """Do everything that can be done with keys, mistakes included."""
    limited = operator.keys.create("limited", limits={"requests": "1/day"})
    poor = operator.keys.create("poor", budget={"usd": "0.00001", "period": "day"})
    rich = operator.keys.create("rich", limits={"requests": "9/day", "concurrency": 2}, budget={"usd": "9", "period": "day"})
    rotated = operator.keys.rotate(rich.key.id, 60)
    gone = operator.keys.create("gone")
    operator.keys.disable(gone.key.id)
    with pytest.raises(KeyExistsError):
        operator.keys.import_key("twice", secret=rich.secret)
    with pytest.raises(KeyNotFoundError):
        operator.keys.show(rich.secret)
    with pytest.raises(ConfigurationError):
        operator.keys.update(rich.key.id, limits={"requests": rich.secret})
    return [limited, poor, rich, rotated, gone]


@every_crowd
def test_all_goes_well(kind: type[Any], stand: Stand, upstream: MockUpstream, caplog: pytest.LogCaptureFixture) -> None:
    alerts: list[BudgetAlert] = []
    ours = settings(stand, upstream)
    with caplog.at_level(logging.DEBUG), kind(ours, on_budget=alerts.append) as crowd, Gateway(ours) as operator:
        keys = limited, poor, rich, rotated, gone = manage(operator)
        assert ask_everything(crowd, KEY) == [200] * 4
        assert ask_everything(crowd, rich.secret) == ask_everything(crowd, rotated.secret) == [200] * 4
        assert sorted(ask_everything(crowd, limited.secret)) == [200, 429, 429, 429]
        assert ask_everything(crowd, poor.secret) == [429] * 4
        assert ask_everything(crowd, gone.secret) == ask_everything(crowd, WRONG_KEY) == [401] * 4
        shown = [ours, ours.stores, crowd.stores, operator.keys.list(), operator.usage(), operator.balances(rich.key.id), alerts, *keys]
        refusals = [crowd.send(asking(key, "ok", messages=MESSAGES)) for key in (limited.secret, poor.secret, gone.secret, WRONG_KEY)]
        kept = stand.dump() + dump_of_redis(stand.redis)
    assert alerts
    assert rich.key.id in kept
    for text in (logged(caplog), kept, " ".join(f"{value!r} {value}" for value in shown), repr(refusals)):
        assert found(text, *keys) == []
    # `NewKey` and `Settings` carry secrets on purpose, also to other processes.
    assert found(str(pickle.dumps([value for value in shown[1:] if not isinstance(value, NewKey | type(ours.stores))])), *keys) == []


FAILURES = {
    "nobody there": {
        "admission": f"redis://:{REDIS_PASSWORD}@127.0.0.1:{{nobody}}/0",
        "ledger": f"postgresql://user:{POSTGRES_PASSWORD}@127.0.0.1:{{nobody}}/db",
    },
    "not allowed in": {
        "admission": f"redis://:{REDIS_PASSWORD}-wrong@127.0.0.1:{{redis}}/0?socket_timeout=5",
        "ledger": f"postgresql://guarded:{POSTGRES_PASSWORD}@127.0.0.1:{{postgres}}/postgres",
    },
    "no such database": {
        "admission": f"redis://:{REDIS_PASSWORD}@127.0.0.1:{{redis}}/99?socket_timeout=5",
        "ledger": f"postgresql://postgres:{POSTGRES_PASSWORD}@127.0.0.1:{{postgres}}/nothing",
    },
    "not its language": {
        "admission": f"rediss://:{REDIS_PASSWORD}@127.0.0.1:{{postgres}}/0",
        "ledger": f"postgresql://user:{POSTGRES_PASSWORD}@127.0.0.1:{{redis}}/db",
    },
}


@pytest.fixture(scope="module")
def guarded(postgres: PostgresServer) -> PostgresServer:
    """A server that has a user with a password."""
    [(folder,)] = postgres.query("SELECT current_setting('data_directory')")
    rules = Path(folder, "pg_hba.conf")
    rules.write_text(f"host all guarded 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
    postgres.query("CREATE ROLE guarded LOGIN PASSWORD 'another'")
    postgres.query("SELECT pg_reload_conf()")
    return postgres


@pytest.mark.parametrize("failure", FAILURES)
@every_crowd
def test_stores_fail(
    kind: type[Any], failure: str, redis: RedisServer, guarded: PostgresServer, upstream: MockUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    ports = {"nobody": free_port(), "redis": redis.port, "postgres": guarded.port}
    addresses = {store: address.format(**ports) for store, address in FAILURES[failure].items()}
    # A store that speaks another language is waited for in vain, by each of these calls.
    patience = 0.2 if failure == "not its language" else 1
    ours = settings(Stand(redis, addresses["ledger"], str), upstream, admission=addresses["admission"], ledger_timeout=patience)
    with caplog.at_level(logging.DEBUG), kind(ours) as crowd, Gateway(ours) as operator:
        answered, refused = [crowd.send(asking(key, "ok", messages=MESSAGES)) for key in (KEY, WRONG_KEY)]
        errors = [raised_by(call) for call in (operator.usage, operator.keys.list, lambda: operator.keys.create("n"))]
        errors.append(raised_by(lambda: Gateway(ours.model_copy(update={"stores": ours.stores.model_copy(update={"strict": True})}))))
    assert (answered.status, refused.status) == (200, 503)
    assert {type(error) for error in errors[:3]} <= {StoreError, *StoreError.__subclasses__()}
    records = [record for record in caplog.records if record.name.startswith("completions_mw")]
    own = "".join(map(JsonFormatter().format, records))
    assert "store_degraded" in [record.getMessage() for record in records]
    # Of what others log, and of the causes of our exceptions, an address is no secret; a password is.
    hidden = re.compile("|".join((r"127\.0\.0\.1", *(rf"\b{port}\b" for port in ports.values()))))
    assert not hidden.search(own)
    assert not hidden.search(" ".join(f"{error} {error!r} {error.args}" for error in errors))
    told = "".join("".join(traceback.format_exception(error)) for error in errors)
    assert found(logged(caplog) + told + repr(refused)) == []


def raised_by(call: Callable[[], object]) -> Exception:
    with pytest.raises((StoreError, ConfigurationError)) as caught:
        call()
    return caught.value


def test_the_command_line(guarded: PostgresServer, tmp_path: Path) -> None:
    good = guarded.new_database().replace("postgres@", f"postgres:{POSTGRES_PASSWORD}@")
    created = process("keys", "create", "n", "--ledger", good, "--json", cwd=tmp_path)
    secret = created.json["secret"]
    assert created.out.count(secret) == 1
    commands = (("keys", "list"), ("keys", "show", created.json["id"]), ("usage",))
    shown = [process(*words, "--ledger", good, cwd=tmp_path) for words in commands]
    assert [result.code for result in shown] == [0, 0, 0]
    wrong = [process("keys", "show", secret, "--ledger", good, cwd=tmp_path)]
    for address in (f"postgresql://guarded:{POSTGRES_PASSWORD}@127.0.0.1:{guarded.port}/db", f"postgresql://{POSTGRES_PASSWORD}:x@[::1"):
        wrong += [process(*words, "--ledger", address, cwd=tmp_path) for words in (("keys", "list"), ("keys", "create", "n", "--json"))]
    assert all(result.code for result in wrong)
    for result in (created._replace(out=json.dumps({**created.json, "secret": ""})), *shown, *wrong):
        text = result.out + result.err
        assert secret not in text
        assert found(text) == []
