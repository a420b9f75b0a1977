"""Keys in real databases: nothing is lost, nothing is half done, whatever the names hold."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from completions_mw.backends.clock import SYSTEM_CLOCK
from completions_mw.backends.sql import ConflictError, Database, Rows, open_database
from completions_mw.backends.sql.key_store import SqlKeyStore
from completions_mw.blocking import run_sync
from completions_mw.core.ports import KeyExistsError, KeyRecord, SecretRecord, StoreRefusalError
from completions_mw.settings import Budget, Limits, Rate
from tests.support.postgres_server import PostgresServer

Scenario = Callable[[SqlKeyStore], Coroutine[Any, Any, None]]
Play = Callable[[Scenario], None]

KEY = KeyRecord(
    "key_1",
    "Team 'A'; DROP TABLE keys;--\n\x1b[31m{}%s/:*\u2028é🙂\ufdd041;",
    "acme/eu:{*}",
    frozenset({"gpt-3.5-turbo", "it's/a model"}),
    Limits(requests=(Rate(60, 60), Rate(1000, 86_400)), tokens=(Rate(100_000, 60),), concurrency=8),
    Budget(usd=Decimal("10.000000001"), period="month"),
    Decimal("0.25"),
    {"owner": "ann", "note": "\ufdd041; %(id)s :id \\ \" '"},
    created_at=1_795_406_400.123456,
    expires_at=1_800_000_000.654321,
    public_ids=("public1",),
)
SECRET = SecretRecord("public1", bytes(range(32)), created_at=KEY.created_at)


def plain(number: int, tenant: str = "t") -> tuple[KeyRecord, SecretRecord]:
    key = KeyRecord(f"key_{number}", "plain", tenant, created_at=float(number), public_ids=(f"public{number}",))
    return key, SecretRecord(f"public{number}", bytes([number]) * 32, created_at=float(number))


async def use(database: Database, scenario: Scenario) -> None:
    try:
        await scenario(SqlKeyStore(database))
    finally:
        await database.aclose()


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


def in_threads(address: str, scenario: Scenario) -> None:
    run_sync(use(open_database(address, blocking=True, clock=SYSTEM_CLOCK), scenario))


def in_a_loop(address: str, scenario: Scenario) -> None:
    asyncio.run(use(open_database(address, blocking=False, clock=SYSTEM_CLOCK), scenario))


@pytest.fixture(params=[in_threads, in_a_loop], ids=["blocking", "async"])
def play(request: pytest.FixtureRequest, address: str) -> Play:
    return partial(request.param, address)


def test_a_key_comes_back_as_it_was(play: Play) -> None:
    async def scenario(store: SqlKeyStore) -> None:
        await store.insert([(KEY, SECRET), plain(2)])
        assert await store.find(SECRET.digest) == (KEY, SECRET)
        assert await store.get("key_1") == await store.get("public1") == KEY
        assert await store.find(bytes([2]) * 32) == plain(2)
        assert await store.list() == [plain(2)[0], KEY]
        assert await store.list("acme/eu:{*}") == [KEY]
        assert await store.list("acme") == []

    play(scenario)


def test_what_is_not_there(play: Play) -> None:
    async def scenario(store: SqlKeyStore) -> None:
        assert await store.find(SECRET.digest) is None
        assert await store.get("key_1") is None
        assert await store.list() == []
        assert await store.change("key_1", lambda key: key) is None
        assert await store.rotate("key_1", SECRET, 0.0) is False
        assert await store.find(SECRET.digest) is None

    play(scenario)


@pytest.mark.parametrize(
    "twin",
    [
        (replace(KEY, id="key_2"), SECRET._replace(public_id="public2")),
        (replace(KEY, id="key_2"), SECRET._replace(digest=bytes(32))),
        (KEY, SECRET._replace(digest=bytes(32), public_id="public2")),
    ],
    ids=["digest", "public id", "id"],
)
@pytest.mark.parametrize("stored", [True, False], ids=["stored", "together"])
def test_all_of_an_insertion_or_nothing(play: Play, twin: tuple[KeyRecord, SecretRecord], stored: bool) -> None:
    async def scenario(store: SqlKeyStore) -> None:
        if stored:
            await store.insert([(KEY, SECRET)])
        with pytest.raises(KeyExistsError):
            await store.insert([plain(9), *([] if stored else [(KEY, SECRET)]), twin])
        assert await store.list() == ([KEY] if stored else [])
        assert await store.find(bytes([9]) * 32) is None

    play(scenario)


def test_rotation_ends_the_older_secrets(play: Play) -> None:
    second, third = (SecretRecord(f"public{n}", bytes([n]) * 32, created_at=KEY.created_at + n) for n in (2, 3))

    async def scenario(store: SqlKeyStore) -> None:
        await store.insert([(KEY, SECRET), plain(9)])
        assert await store.rotate("key_1", second, 100.0)
        assert await store.rotate("key_1", third, 200.0)
        ends = [found[1].expires_at for digest in (SECRET.digest, second.digest, third.digest) if (found := await store.find(digest))]
        assert ends == [100.0, 200.0, None]
        assert await store.find(bytes([9]) * 32) == plain(9)
        assert await store.get("public3") == replace(KEY, public_ids=("public3", "public2", "public1"))

    play(scenario)


def test_a_secret_that_is_taken_changes_nothing(play: Play) -> None:
    async def scenario(store: SqlKeyStore) -> None:
        await store.insert([(KEY, SECRET), plain(2)])
        with pytest.raises(ConflictError):
            await store.rotate("key_1", plain(2)[1], 100.0)
        assert await store.find(SECRET.digest) == (KEY, SECRET)

    play(scenario)


def test_a_change_is_kept(play: Play) -> None:
    bare = KeyRecord("key_1", "b", "u", disabled=True, created_at=KEY.created_at, public_ids=("public1",))

    async def scenario(store: SqlKeyStore) -> None:
        await store.insert([(KEY, SECRET)])
        assert await store.change("public1", lambda key: bare) == bare
        assert await store.get("key_1") == bare
        assert await store.change("key_1", lambda key: KEY) == KEY
        assert await store.find(SECRET.digest) == (KEY, SECRET)

    play(scenario)


def test_what_a_change_raises_changes_nothing(play: Play) -> None:
    def refuse(key: KeyRecord) -> KeyRecord:
        raise ValueError("no")

    async def scenario(store: SqlKeyStore) -> None:
        await store.insert([(KEY, SECRET)])
        with pytest.raises(ValueError, match="no"):
            await store.change("key_1", refuse)
        assert await store.get("key_1") == KEY

    play(scenario)


class Overtaken:
    """A database in which somebody else is faster, once."""

    def __init__(self, address: str, faster: Scenario) -> None:
        self._database = open_database(address, blocking=True, clock=SYSTEM_CLOCK)
        self._faster: Scenario | None = faster

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def fetch(self, statement: str, /, **params: Any) -> Rows:
        if statement == "keys_change" and self._faster:
            faster, self._faster = self._faster, None
            await faster(SqlKeyStore(self._database))
        return await self._database.fetch(statement, **params)


def test_a_change_that_somebody_else_overtakes_is_made_again(address: str) -> None:
    seen = []

    def rename(key: KeyRecord) -> KeyRecord:
        seen.append(key.disabled)
        return replace(key, name="new")

    async def disable(store: SqlKeyStore) -> None:
        await store.change("key_1", lambda key: replace(key, disabled=True))

    async def scenario(store: SqlKeyStore) -> None:
        await store.insert([(KEY, SECRET)])
        changed = await store.change("key_1", rename)
        assert changed == await store.get("key_1") == replace(KEY, name="new", disabled=True)

    run_sync(use(Overtaken(address, disable), scenario))
    assert seen == [False, True]


def test_workers_that_change_a_key_at_once_lose_nothing(address: str) -> None:
    async def note(store: SqlKeyStore, worker: int) -> None:
        for number in range(20):
            note = {f"{worker}-{number}": ""}
            await store.change("key_1", lambda key, note=note: replace(key, metadata={**key.metadata, **note}))  # type: ignore[misc]

    async def check(store: SqlKeyStore) -> None:
        key = await store.get("key_1")
        assert key is not None
        assert len(key.metadata) == 80

    in_threads(address, lambda store: store.insert([plain(1)]))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda worker: in_threads(address, lambda store: note(store, worker)), range(4)))
    in_threads(address, check)


def test_rotations_at_once_leave_one_secret_without_an_end(address: str) -> None:
    secrets = [SecretRecord(f"public{n}", bytes([n]) * 32, created_at=float(n)) for n in range(10, 18)]

    async def check(store: SqlKeyStore) -> None:
        found = [await store.find(secret.digest) for secret in secrets]
        assert sorted(pair[1].expires_at or 0 for pair in found if pair) == [0, *[9.0] * 7]

    in_threads(address, lambda store: store.insert([plain(1)]))
    with ThreadPoolExecutor(4) as pool:
        done = pool.map(lambda secret: in_threads(address, lambda store: _rotate(store, secret)), secrets)
        list(done)
    in_threads(address, check)


async def _rotate(store: SqlKeyStore, secret: SecretRecord) -> None:
    assert await store.rotate("key_1", secret, 9.0)


def test_many_keys_at_once(play: Play) -> None:
    keys = [
        (
            KeyRecord(f"key_{n}", f"n{n}", "t", created_at=float(n), public_ids=(f"p{n}",)),
            SecretRecord(f"p{n}", n.to_bytes(32), None, float(n)),
        )
        for n in range(1_000)
    ]

    async def scenario(store: SqlKeyStore) -> None:
        await store.insert(keys)
        assert await store.list() == [key for key, _ in keys]
        assert [await store.find(keys[n][1].digest) for n in (0, 1, 999)] == [keys[n] for n in (0, 1, 999)]

    play(scenario)


@pytest.mark.parametrize(
    "change",
    ['limits = \'{"requests": "canary"}\'', "limits = 'canary'", "models = '5'", "max_cost = 'canary'", "metadata = 'canary'"],
)
def test_what_is_no_key_of_ours_is_told_without_its_values(tmp_path: Path, change: str) -> None:
    address = f"sqlite:///{tmp_path}/ledger.db"

    async def scenario(store: SqlKeyStore) -> None:
        await store.insert([(KEY, SECRET)])
        with contextlib.closing(sqlite3.connect(tmp_path / "ledger.db")) as connection, connection:
            connection.execute(f"UPDATE keys SET {change}")
        with pytest.raises(StoreRefusalError, match="not one that this version can read") as caught:
            await store.find(SECRET.digest)
        assert caught.value.__cause__ is caught.value.__context__ is None

    in_threads(address, scenario)
