"""Output of the commands: tables for people, one JSON document for programs. Text from outside is escaped before a terminal gets it."""

import json
import sys
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

_FILE_WIDTH: Final = 100_000
"""Characters in a line of a table that is not written to a terminal, so that no line is broken."""


def shown(text: str) -> str:
    """Return `text` with all unprintable characters escaped: control sequences, and characters that hide or reorder text."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def instant(seconds: float) -> str:
    """Return `seconds` since 1970 as a date and time in UTC, such as `2027-01-31T00:00:00Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def write_json(document: Any) -> None:
    """Write the one JSON document of a command to stdout."""
    typer.echo(json.dumps(document, indent=2))


def write_lines(*lines: str) -> None:
    """Write lines to stdout, escaped."""
    for line in lines:
        typer.echo(shown(line))


def write_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, whole: Collection[str] = (), numbers: Collection[str] = ()
) -> None:
    """Write a table to stdout.

    Args:
        columns: names of the columns.
        rows: cells of each row.
        whole: columns whose cells are never broken into lines.
        numbers: columns that are aligned to the right.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        # Folded and never cut: half a name or limit would mislead.
        justify: Literal["left", "right"] = "right" if column in numbers else "left"
        table.add_column(Text(column), justify=justify, overflow="fold", no_wrap=column in whole or column in numbers)
    for row in rows:
        table.add_row(*(Text(shown(cell)) for cell in row))
    # Programs that search lines need one line for each row.
    width = None if sys.stdout.isatty() else _FILE_WIDTH
    Console(file=sys.stdout, width=width, markup=False, emoji=False, highlight=False).print(table)


def warn(message: str) -> None:
    """Write a warning to stderr."""
    typer.echo(f"warning: {shown(message)}", err=True)


def fail(message: str) -> NoReturn:
    """Write an error to stderr, and exit with code 1."""
    lines = message.splitlines() or [""]
    for line in lines:
        typer.echo(f"error: {shown(line)}", err=True)
    raise typer.Exit(1)
