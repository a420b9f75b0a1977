"""Reads the SQL of a dialect when it is first needed: statements by their names, and migrations by their versions.

`<dialect>/schema.sql`, `keys.sql` and `ledger.sql` hold statements, each below a line such as `-- name: keys_find`.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final, NamedTuple

_STATEMENT_FILES: Final = ("schema", "keys", "ledger")
_NAME_LINE: Final = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_ROW: Final = re.compile(r"(?<=\bVALUES )\([^()]*\)")


class Migration(NamedTuple):
    """A step from one version of the schema to the next."""

    version: int
    sql: str


@cache
def statements(dialect: str) -> Mapping[str, str]:
    """Return all statements of a dialect by their names."""
    found: dict[str, str] = {}
    for subject in _STATEMENT_FILES:
        _, *parts = _NAME_LINE.split(script(dialect, subject))
        found |= zip(parts[::2], map(str.strip, parts[1::2]), strict=True)
    return found


@cache
def statement_for_rows(dialect: str, name: str, count: int) -> str:
    """Return a statement that takes many rows of parameters: what it has in parentheses behind `VALUES` is there `count` times."""
    return _ROW.sub(lambda row: ", ".join([row[0]] * count), statements(dialect)[name])


@cache
def migrations(dialect: str) -> tuple[Migration, ...]:
    """Return all steps to the current schema, in order: `migrations/0001_….sql` and so on."""
    folder = _folder(dialect).joinpath("migrations")
    return tuple(sorted(Migration(int(file.name[:4]), file.read_text("utf-8")) for file in folder.iterdir() if file.name.endswith(".sql")))


@cache
def script(dialect: str, name: str) -> str:
    """Return the text of `<dialect>/<name>.sql`."""
    return _folder(dialect).joinpath(f"{name}.sql").read_text("utf-8")


def _folder(dialect: str) -> Traversable:
    return files(__package__).joinpath(dialect)
