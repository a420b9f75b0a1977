"""The SQL files: every statement is found under its name, and both dialects have what is asked of both."""

import re
import sqlite3
from contextlib import closing
from importlib.resources import files

import pytest

from completions_mw.backends.sql.sqlite.file import ROWS_AT_ONCE
from completions_mw.backends.sql.statements import migrations, statement_for_rows, statements

DIALECTS = ("sqlite", "postgres")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_name_is_one_statement(dialect: str) -> None:
    folder = files("completions_mw.backends.sql").joinpath(dialect)
    named = [
        line.removeprefix("-- name: ")
        for file in folder.iterdir()
        if file.name.endswith(".sql")
        for line in file.read_text("utf-8").splitlines()
        if line.startswith("-- name")
    ]
    assert sorted(named) == sorted(statements(dialect))
    assert all(sql.endswith(";") for sql in statements(dialect).values())


def test_a_statement_is_the_text_below_its_name() -> None:
    assert statements("sqlite")["check"] == "SELECT 1;"
    assert statements("sqlite")["keys_lock"].splitlines()[1:] == ["SELECT id FROM keys WHERE id = :id;"]


def test_a_statement_for_rows_has_the_parameters_of_each() -> None:
    one, three = (statement_for_rows("sqlite", "ledger_budgets_by_key", count) for count in (1, 3))
    assert one == statements("sqlite")["ledger_budgets_by_key"]
    assert three == one.replace("VALUES (?, ?, ?)", "VALUES (?, ?, ?), (?, ?, ?), (?, ?, ?)")


@pytest.mark.parametrize("count", [1, 2, ROWS_AT_ONCE])
def test_statements_for_rows_find_them_by_an_index(count: int) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        for migration in migrations("sqlite"):
            connection.executescript(migration.sql)
        for name in [name for name, sql in statements("sqlite").items() if "VALUES (?" in sql]:
            sql = statement_for_rows("sqlite", name, count)
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", [1] * sql.count("?"))]
            assert not {"SCAN entries", "SCAN budgets"} & {*plan}, name


def test_both_dialects_have_the_same_statements_for_keys() -> None:
    one, other = ({name: _params(sql) for name, sql in statements(dialect).items() if name.startswith("keys_")} for dialect in DIALECTS)
    assert one == other


def _params(sql: str) -> set[str]:
    code = re.sub(r"^--.*$", "", sql, flags=re.MULTILINE)
    return {one or other for one, other in re.findall(r"(?<!:):(\w+)|%\((\w+)\)s", code)}
