"""`Keys` and `AsyncKeys`: the same names, and the same work, blocking and awaited."""

import asyncio
import inspect
import pickle
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from completions_mw import AsyncGateway, Gateway, KeyExistsError, KeyNotFoundError, Settings
from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.sql import open_database
from completions_mw.backends.sql.key_store import SqlKeyStore
from completions_mw.blocking import run_sync
from completions_mw.core.keys.service import KeyService
from completions_mw.errors import ConfigurationError
from completions_mw.gateway.async_keys import AsyncKeys
from completions_mw.gateway.keys import Keys

METHODS = ["create", "disable", "enable", "import_key", "list", "rotate", "show", "update"]


def methods(kind: type) -> dict[str, inspect.Signature]:
    return {name: inspect.signature(method) for name, method in vars(kind).items() if not name.startswith("_")}


def test_both_kinds_have_the_same_methods() -> None:
    assert methods(Keys) == methods(AsyncKeys)
    assert sorted(methods(Keys)) == METHODS


def test_blocking(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/ledger.db", blocking=True, clock=SYSTEM_CLOCK)
    keys = Keys(KeyService(SqlKeyStore(database), SYSTEM_CLOCK))
    new = keys.create("Team A", tenant="acme", limits={"requests": "60/minute"})
    imported = keys.import_key("Team B", secret="sk-of-another-origin", models=["m"])
    assert keys.list() == [new.key, imported]
    assert keys.list("acme") == [keys.show(new.key.id)]
    assert keys.disable(imported.id).disabled
    assert not keys.enable(imported.id).disabled
    assert keys.update(imported.id, name="Team C", models=None).models is None
    assert len(keys.rotate(imported.id, timedelta(hours=1)).key.public_ids) == 2
    with pytest.raises(KeyNotFoundError):
        keys.show("key_none")
    with pytest.raises(KeyExistsError):
        keys.import_key("Team D", secret=new.secret)
    run_sync(database.aclose())


def test_async(tmp_path: Path) -> None:
    async def main() -> None:
        database = open_database(f"sqlite:///{tmp_path}/ledger.db", blocking=False, clock=SYSTEM_CLOCK)
        keys = AsyncKeys(KeyService(SqlKeyStore(database), SYSTEM_CLOCK))
        new = await keys.create("Team A", tenant="acme", limits={"requests": "60/minute"})
        imported = await keys.import_key("Team B", secret="sk-of-another-origin", models=["m"])
        assert await keys.list() == [new.key, imported]
        assert await keys.list("acme") == [await keys.show(new.key.id)]
        assert (await keys.disable(imported.id)).disabled
        assert not (await keys.enable(imported.id)).disabled
        assert (await keys.update(imported.id, name="Team C", models=None)).models is None
        assert len((await keys.rotate(imported.id, timedelta(hours=1))).key.public_ids) == 2
        with pytest.raises(KeyNotFoundError):
            await keys.show("key_none")
        await database.aclose()

    asyncio.run(main())


@pytest.mark.parametrize(("name", "meant"), [("budgets", "budget"), ("limit", "limits"), ("max_costs", "max_cost")])
@pytest.mark.parametrize("value", [None, "canary"], ids=["None", "text"])
def test_names_that_are_unknown(name: str, meant: str, value: Any) -> None:
    database = open_database("memory://", blocking=True, clock=SYSTEM_CLOCK)
    keys = Keys(KeyService(SqlKeyStore(database), SYSTEM_CLOCK))
    key = keys.create("Team A").key
    wrong: Any = {name: value}
    for ask in (partial(keys.update, key.id), partial(keys.create, "n"), partial(keys.import_key, "n", secret="12345678")):
        with pytest.raises(ConfigurationError) as caught:
            ask(**wrong)
        assert str(caught.value) == f"{name}: is not a field here; did you mean `{meant}`?"
    assert keys.list() == [key]
    run_sync(database.aclose())


def test_records_hold_no_secret() -> None:
    database = open_database("memory://", blocking=True, clock=SYSTEM_CLOCK)
    keys = Keys(KeyService(SqlKeyStore(database), SYSTEM_CLOCK))
    new = keys.create("Team A")
    secret = new.secret.rpartition("-")[2]
    imported = keys.import_key("Team B", secret="canary-of-another-origin")
    assert secret not in repr(new)
    for key in (new.key, imported, keys.show(new.key.id)):
        assert secret.encode() not in pickle.dumps(key)
        assert b"canary" not in pickle.dumps(key)
    run_sync(database.aclose())


TREE: Any = {"providers": {"echo": {"api": "echo"}}, "models": {"m": {"targets": ["echo/m"]}}, "stores": {"ledger": "memory://"}}
UNKNOWN = r"^models\[0\]: no such model; known are `m`, `bot`$"


def test_a_gateway_gives_no_key_a_model_that_it_does_not_have() -> None:
    with Gateway(Settings(**TREE), models={"bot": lambda request: "hi"}) as gateway:
        with pytest.raises(ConfigurationError, match=UNKNOWN):
            gateway.keys.create("Team A", models=["nope"])
        assert gateway.keys.create("Team A", models=["bot", "m"]).key.models == frozenset({"bot", "m"})


def test_an_async_gateway_gives_no_key_a_model_that_it_does_not_have() -> None:
    async def main() -> None:
        async with AsyncGateway(Settings(**TREE), models={"bot": lambda request: "hi"}) as gateway:
            with pytest.raises(ConfigurationError, match=UNKNOWN):
                await gateway.keys.create("Team A", models=["nope"])

    asyncio.run(main())
