"""What an operator is told of a database that fails: which one, and why, and no password."""

from pathlib import Path

import pytest

from completions_mw.cli.errors import explained
from completions_mw.core.ports import StoreError
from tests.support.command_line import inside
from tests.support.postgres_server import PostgresServer
from tests.support.process import free_port


def told(address: str) -> str:
    result = inside("keys", "list", "--ledger", address)
    assert (result.code, result.out) == (1, "")
    assert "canary" not in result.err
    return result.err


def test_nobody_listens() -> None:
    port = free_port()
    place = f"host 127.0.0.1, port {port}, database app"
    text = f"error: PostgreSQL: OperationalError (connection refused; {place})\n"
    assert told(f"postgresql://user:canary@127.0.0.1:{port}/app?application_name=canary") == text


def test_a_host_that_has_no_address() -> None:
    text = told("postgresql://user:canary@db.invalid/app")
    assert text.startswith("error: PostgreSQL: OperationalError (")
    assert text.endswith("host db.invalid, database app)\n")


def test_a_database_that_is_not_there(postgres: PostgresServer) -> None:
    place = f"host 127.0.0.1, port {postgres.port}, database none"
    assert told(postgres.address("none")) == f"error: PostgreSQL: OperationalError (does not exist; {place})\n"


def test_a_statement_that_fails(postgres: PostgresServer) -> None:
    address = postgres.new_database()
    postgres.query("CREATE ROLE guest LOGIN PASSWORD 'canary'")
    place = f"host 127.0.0.1, port {postgres.port}, database {address.rpartition('/')[2]}"
    text = f"error: PostgreSQL: InsufficientPrivilege (SQLSTATE 42501; {place})\n"
    assert told(address.replace("postgres@", "guest:canary@")) == text


@pytest.mark.parametrize(
    "rest",
    [
        "user:can@ary@host/db",
        "user:canary/ary@host/db",
        "user:5432/canary@host/db",
        "user:can?ary@host/db",
        "user:can#ary@host/db",
        "user:x@canary/y@host/db",
        "user:canary",
        "host/db%40canary?password=x@canary",
    ],
)
def test_a_password_that_is_not_encoded(rest: str) -> None:
    assert explained(StoreError("PostgreSQL: no answer in time"), f"postgresql://{rest}") == "PostgreSQL: no answer in time"


@pytest.mark.parametrize(
    ("rest", "place"),
    [
        ("user:can%40ary@[::1]:5433/db", "host ::1, port 5433, database db"),
        ("user:canary@a:1,b:2/db", "host a,b, port 1,2, database db"),
        ("/db?host=/run/postgresql&password=canary", "host /run/postgresql, database db"),
        ("host", "host host"),
    ],
)
def test_where_it_is(rest: str, place: str) -> None:
    assert explained(StoreError("PostgreSQL: no answer in time"), f"postgresql://{rest}") == f"PostgreSQL: no answer in time ({place})"


def test_an_address_that_says_nothing() -> None:
    assert explained(StoreError("PostgreSQL: no answer in time"), "postgresql://") == "PostgreSQL: no answer in time"


def test_a_file_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").mkdir()
    assert told(f"sqlite:///{tmp_path}/ledger.db") == f"error: SQLite: SQLITE_CANTOPEN (file {tmp_path}/ledger.db)\n"
    result = inside("keys", "create", "n", "--ledger", f"sqlite:///{tmp_path}/none/ledger.db")
    assert result.err.startswith("error: SQLite: ")
    assert f"file {tmp_path}/none/ledger.db)" in result.err
