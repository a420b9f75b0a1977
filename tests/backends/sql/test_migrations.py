"""Databases of earlier versions are brought up to date, and what was reserved in them settles: `versions/` has their SQL as it was."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from completions_mw.core.ports import UsageQuery
from tests.support.ledgers import STARTED_MS, TTL_MS, Books, account, books, entry, outcome
from tests.support.postgres_server import PostgresServer

OLD = Path(__file__).parent / "versions"
APPLICATION_ID = 0x636D7721
BUDGETS = [(1, "key", "key-1", 1000, 210, 450), (2, "tenant", "tenant-1", 5000, 210, 750)]
"""Id, scope, name, limit, spent and reserved."""
ENTRIES: list[tuple[str, str, int | None, int | None, int, int, bool]] = [
    ("settled", "settled", 1, 2, 200, 200, False),
    ("both", "reserved", 1, 2, 300, 20, True),
    ("tenant-only", "reserved", 2, None, 300, 0, True),
    ("expired", "reserved", 1, 2, 150, 40, False),
    ("reaped", "reaped", 1, 2, 100, 10, False),
    ("free", "settled", None, None, 0, 7, False),
]
"""Request id, state, budget, other budget, reserved, amount, and whether the reservation holds."""
CALLED_ALIKE: list[tuple[str, str, str, int | None, int | None]] = [
    ("alike-caller", "caller", "tenant-1", None, None),
    ("alike-key", "key", "tenant-1", 1, None),
    ("alike-paid-by-the-tenant", "caller", "tenant-1", 2, None),
    ("alike-paid-by-both", "key", "tenant-1", 1, 2),
]
"""Request id, scope, id that is the tenant too, budget and other budget: settled rows that may be of a caller without a tenant."""
KEYS = {"alone": "alone", "tenant-1": "tenant-1", "used": "used", "member": "used", "apart": "acme"}
"""Tenant of each stored key: its own id where it has none."""


def sqlite_of_version_1(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript((OLD / "sqlite_1.sql").read_text())
        _fill(lambda sql, rows: connection.executemany(sql, rows), "", "?", STARTED_MS * 2, 0)
        connection.execute("PRAGMA user_version = 1")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    return f"sqlite:///{path}"


def postgres_of_version_2(server: PostgresServer) -> str:
    address = server.new_database()
    with psycopg.connect(address) as connection:
        connection.execute("CREATE SCHEMA completions_mw")
        connection.execute("CREATE TABLE completions_mw.migrations (version integer PRIMARY KEY, applied_at timestamptz DEFAULT now())")
        connection.execute("INSERT INTO completions_mw.migrations (version) VALUES (1), (2)")
        connection.execute((OLD / "postgres_2.sql").read_bytes())
        _fill(lambda sql, rows: connection.cursor().executemany(sql.encode(), rows), "completions_mw.", "%s", "2100-01-01", "2020-01-01")
        connection.execute("SELECT setval('completions_mw.budgets_id_seq', 2)")
    return address


def _fill(insert: Callable[[str, Sequence[tuple[Any, ...]]], object], schema: str, mark: str, later: object, before: object) -> None:
    identity = "OVERRIDING SYSTEM VALUE" if schema else ""
    columns = 'id, scope, name, period, "limit", spent, reserved'
    rows = [(id, scope, name, "2026-11", *amounts) for id, scope, name, *amounts in BUDGETS]
    insert(f"INSERT INTO {schema}budgets ({columns}) {identity} VALUES ({', '.join([mark] * 7)})", rows)
    expiry = "expires_at" if schema else "expires_ms"
    columns = f"request_id, state, budget, other_budget, reserved, amount, {expiry}, scope, key, tenant, model, stream, started_ms"
    entries = [(*row, later if holds else before, "key", "key-1", "tenant-1", "gpt", True, STARTED_MS) for *row, holds in ENTRIES]
    alike = [
        (id, "settled", budget, other, 0, 1, before, scope, name, name, "gpt", True, STARTED_MS)
        for id, scope, name, budget, other in CALLED_ALIKE
    ]
    insert(f"INSERT INTO {schema}entries ({columns}) VALUES ({', '.join([mark] * 13)})", [*entries, *alike])
    columns = "id, name, tenant, limits, metadata, disabled, created_at"
    keys = [(id, id, tenant, "{}", "{}", False, 0.0) for id, tenant in KEYS.items()]
    insert(f"INSERT INTO {schema}keys ({columns}) VALUES ({', '.join([mark] * 7)})", keys)


@pytest.fixture(params=["sqlite", "postgres"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a database of the earlier version."""
    if request.param == "sqlite":
        return sqlite_of_version_1(tmp_path / "ledger.db")
    return postgres_of_version_2(request.getfixturevalue("postgres"))


@pytest.fixture(params=[True, False], ids=["blocking", "async"])
def opened(request: pytest.FixtureRequest, address: str) -> Iterator[Books]:
    with books(address, blocking=request.param) as made:
        yield made


def _balances(opened: Books) -> list[tuple[int, int]]:
    pairs = [opened.run(opened.ledger.balances(scope, name)) for _, scope, name, *_ in BUDGETS]
    return [(balance.spent, balance.reserved) for [balance] in pairs]


def test_what_was_reserved_settles_in_the_budgets_that_it_was_reserved_in(opened: Books) -> None:
    run, ledger = opened[:2]
    assert _balances(opened) == [(210, 450), (210, 750)]

    assert [change.scope for change in run(ledger.settle(entry("both"), outcome(250)))] == ["key", "tenant"]
    assert _balances(opened) == [(460, 150), (460, 450)]
    assert [change.scope for change in run(ledger.settle(entry("tenant-only"), outcome(100)))] == ["tenant"]
    assert _balances(opened) == [(460, 150), (560, 150)]

    assert run(ledger.reap()) == 1
    assert _balances(opened) == [(500, 0), (600, 0)]
    assert run(ledger.settle(entry("settled"), outcome(999))) == []
    assert len(run(ledger.settle(entry("reaped"), outcome(60)))) == 2
    assert _balances(opened) == [(550, 0), (650, 0)]
    assert sum(row.cost_nano for row in run(ledger.usage(UsageQuery("key")))) == 550 + 100 + 7 + len(CALLED_ALIKE)


def test_what_was_reaped_is_taken_anew(opened: Books) -> None:
    assert opened.run(opened.ledger.renew(["reaped", "both"], TTL_MS)) == []
    assert _balances(opened) == [(200, 550), (200, 850)]


def test_new_requests_go_on_in_the_budgets_that_are_there(opened: Books) -> None:
    run, ledger = opened[:2]
    accounts = [account(1000), account(5000, "tenant-1", "tenant")]
    assert run(ledger.reserve(entry("new"), 100, accounts, TTL_MS)) is None
    assert run(ledger.reserve(entry("new-tenant-only"), 100, accounts[1:], TTL_MS)) is None
    assert _balances(opened) == [(210, 550), (210, 950)]
    assert len(run(ledger.settle(entry("new"), outcome(1)))) == 2
    assert len(run(ledger.settle(entry("new-tenant-only"), outcome(1)))) == 1
    assert _balances(opened) == [(211, 450), (212, 750)]


def test_workers_that_bring_it_up_to_date_at_once(address: str) -> None:
    def settle(at: int) -> int:
        with books(address, blocking=True) as worker:
            return len(worker.run(worker.ledger.settle(entry("both"), outcome(300))))

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(settle, range(8))) == [0] * 7 + [2]
    with books(address, blocking=True) as opened:
        assert _balances(opened) == [(510, 150), (510, 450)]


def test_the_budgets_of_a_request_are_named_by_whose_they_are(opened: Books) -> None:
    run, ledger = opened[:2]
    key, tenant = account(1000), account(5000, "tenant-1", "tenant")
    for request_id, accounts in {"k": [key], "t": [tenant], "kt": [tenant, key], "none": []}.items():
        run(ledger.reserve(entry(request_id), 1, accounts, TTL_MS))
    ids = "SELECT budget_id, tenant_budget_id FROM {}entries WHERE request_id IN ('k', 't', 'kt', 'none') ORDER BY request_id"
    assert _rows(opened.address, ids) == [(1, None), (1, 2), (None, None), (None, 2)]


def test_who_had_no_tenant_has_none(opened: Books) -> None:
    """What a tenant's budget has paid stays with the tenant, and a key with the tenant that others know by its name."""
    run, ledger = opened[:2]
    assert [(row.group, row.requests) for row in run(ledger.usage(UsageQuery("tenant")))] == [("", 2), ("tenant-1", 5)]
    assert _balances(opened) == [(210, 450), (210, 750)]
    tenants = dict(_rows(opened.address, "SELECT id, tenant FROM {}keys"))
    assert tenants == {"alone": "", "tenant-1": "tenant-1", "used": "used", "member": "used", "apart": "acme"}


def test_old_functions_are_replaced(postgres: PostgresServer) -> None:
    names = "SELECT proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'completions_mw'::regnamespace ORDER BY 1"
    old, new = postgres_of_version_2(postgres), postgres.new_database()
    for address in (old, new):
        with books(address, blocking=True) as opened:
            opened.run(opened.database.fetch("check"))
    assert postgres.query(names, old) == postgres.query(names, new)
    assert len(postgres.query(names, new)) == 9


def _rows(address: str, sql: str) -> list[tuple[Any, ...]]:
    if address.startswith("sqlite"):
        with closing(sqlite3.connect(address.removeprefix("sqlite:///"))) as connection:
            return connection.execute(sql.format("")).fetchall()
    with psycopg.connect(address) as other:
        return other.execute(sql.format("completions_mw.").encode()).fetchall()
