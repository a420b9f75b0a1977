"""The SQL files of a dialect, read when they are first needed."""

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple


class Migration(NamedTuple):
    """A step from one version of the schema to the next."""

    version: int
    sql: str


@cache
def statement(dialect: str, name: str) -> str:
    """Return the text of the statement `name`."""
    return _folder(dialect).joinpath(f"{name}.sql").read_text("utf-8")


@cache
def migrations(dialect: str) -> tuple[Migration, ...]:
    """Return all steps to the schema of now, in order: `migrations/0001_….sql` and so on."""
    folder = _folder(dialect).joinpath("migrations")
    return tuple(sorted(Migration(int(file.name[:4]), file.read_text("utf-8")) for file in folder.iterdir() if file.name.endswith(".sql")))


def _folder(dialect: str) -> Traversable:
    return files(__package__).joinpath(dialect)
