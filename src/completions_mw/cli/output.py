"""What the commands write: tables for people, one JSON document for programs. No text of others reaches a terminal as it is."""

import json
import sys
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

_UNLIMITED: Final = 100_000
"""Characters in a line of a table that no terminal shows."""


def shown(text: str) -> str:
    """Return `text` with everything escaped that a terminal would obey, or that would hide or reorder what is around it."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def instant(seconds: float) -> str:
    """Return seconds since the epoch as a date and time, UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def write_json(document: Any) -> None:
    """Write JSON to stdout, the only document of a command."""
    typer.echo(json.dumps(document, indent=2))


def write_lines(*lines: str) -> None:
    """Write lines for people."""
    for line in lines:
        typer.echo(shown(line))


def write_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, whole: Collection[str] = (), numbers: Collection[str] = ()
) -> None:
    """Write a table for people.

    Args:
        columns: their names.
        rows: their cells.
        whole: columns that are never broken into lines.
        numbers: columns that end together.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        # Folded, never cut: half a name or limit misleads.
        justify: Literal["left", "right"] = "right" if column in numbers else "left"
        table.add_column(Text(column), justify=justify, overflow="fold", no_wrap=column in whole or column in numbers)
    for row in rows:
        table.add_row(*(Text(shown(cell)) for cell in row))
    # Programs that search lines want one for each row.
    width = None if sys.stdout.isatty() else _UNLIMITED
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
