"""`completions-mw keys import`: files of keys, checked as a whole."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from completions_mw.blocking import run_sync
from completions_mw.cli.output import shown
from completions_mw.core.keys.fields import ImportedKey, checked
from completions_mw.core.keys.service import KeyService
from completions_mw.core.ports import KeyRecord
from completions_mw.errors import ConfigurationError


class _Row(NamedTuple):
    place: str
    """As `line 3`."""
    value: Any


def import_file(ring: KeyService, file: str) -> list[KeyRecord]:
    """Keep all keys of a file, or none of them.

    Args:
        ring: keeps them.
        file: its path, or `-` for stdin. A JSON list of objects, or an object on each line.

    Raises:
        ConfigurationError: a line for each fault, with its place and never with a value.
    """
    faults: list[str] = []
    keys = list(_keys(_rows(_text(file), faults), faults))
    faults += _twins(ring, keys)
    if faults:
        raise ConfigurationError("\n".join([*faults, "nothing was imported"]))
    if not keys:
        raise ConfigurationError(f"{shown(file)}: there is nothing in it")
    return run_sync(ring.import_keys([key for _, key in keys]))


def _text(file: str) -> str:
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return content.decode("utf-8-sig")
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        problem = "is not text in UTF-8"
    # Not within the handlers: the errors there carry the file's content.
    raise ConfigurationError(f"{shown(file)}: {problem}")


def _rows(text: str, faults: list[str]) -> list[_Row]:
    if text.lstrip().startswith("["):
        values = _parsed("the file", text, faults)
        return [_Row(f"item {number}", value) for row in values for number, value in enumerate(row.value, 1)]
    lines = enumerate(text.split("\n"), 1)
    return [row for number, line in lines if line.strip() for row in _parsed(f"line {number}", line, faults)]


def _parsed(place: str, text: str, faults: list[str]) -> list[_Row]:
    try:
        return [_Row(place, json.loads(text))]
    except json.JSONDecodeError as error:
        faults.append(f"{place}: is not JSON, at line {error.lineno}, column {error.colno}")
    except (ValueError, RecursionError):
        faults.append(f"{place}: is not JSON that can be read")
    return []


def _keys(rows: list[_Row], faults: list[str]) -> Iterator[tuple[str, ImportedKey]]:
    for place, value in rows:
        if not isinstance(value, dict):
            faults.append(f"{place}: should be an object")
            continue
        try:
            yield place, checked(ImportedKey, value)
        except ConfigurationError as error:
            faults += [f"{place}: {line}" for line in str(error).splitlines()]


def _twins(ring: KeyService, keys: list[tuple[str, ImportedKey]]) -> list[str]:
    faults = []
    places: dict[bytes, str] = {}
    for (place, key), owner in zip(keys, run_sync(ring.owners([key for _, key in keys])), strict=True):
        if (first := places.setdefault(key.digest, place)) != place:
            faults.append(f"{place}: has the same secret as {first}")
        if owner is not None:
            faults.append(f"{place}: {owner} has this secret already")
    return faults
