"""The command `completions-mw keys import`: reads files of keys, and checks them as a whole."""

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
    position: str
    """Position in the file, such as `line 3`."""
    value: Any


def import_file(service: KeyService, file: str) -> list[KeyRecord]:
    """Store all keys of a file, or none of them, and return them.

    Args:
        service: stores the keys.
        file: path of a file, or `-` for stdin. It holds a JSON list of objects, or one JSON object on each line.

    Raises:
        ConfigurationError: the file has faults; the message has a line for each, with its position and never with a value.
        StoreError: the database failed.
    """
    faults: list[str] = []
    keys = list(_keys(_rows(_text(file), faults), faults))
    faults += _twins(service, keys)
    if faults:
        raise ConfigurationError("\n".join([*faults, "nothing was imported"]))
    if not keys:
        raise ConfigurationError(f"{shown(file)}: holds no keys")
    return run_sync(service.import_keys([key for _, key in keys]))


def _text(file: str) -> str:
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return content.decode("utf-8-sig")
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        problem = "is not text in UTF-8"
    # Raised here and not in the handlers: the errors there hold the content of the file.
    raise ConfigurationError(f"{shown(file)}: {problem}")


def _rows(text: str, faults: list[str]) -> list[_Row]:
    if text.lstrip().startswith("["):
        values = _parsed("the file", text, faults)
        return [_Row(f"item {number}", value) for row in values for number, value in enumerate(row.value, 1)]
    lines = enumerate(text.split("\n"), 1)
    return [row for number, line in lines if line.strip() for row in _parsed(f"line {number}", line, faults)]


def _parsed(position: str, text: str, faults: list[str]) -> list[_Row]:
    try:
        return [_Row(position, json.loads(text))]
    except json.JSONDecodeError as error:
        faults.append(f"{position}: is not JSON, at line {error.lineno}, column {error.colno}")
    except (ValueError, RecursionError):
        faults.append(f"{position}: is not JSON that can be read")
    return []


def _keys(rows: list[_Row], faults: list[str]) -> Iterator[tuple[str, ImportedKey]]:
    for position, value in rows:
        if not isinstance(value, dict):
            faults.append(f"{position}: should be an object")
            continue
        try:
            yield position, checked(ImportedKey, value)
        except ConfigurationError as error:
            faults += [f"{position}: {line}" for line in str(error).splitlines()]


def _twins(service: KeyService, keys: list[tuple[str, ImportedKey]]) -> list[str]:
    faults = []
    positions: dict[bytes, str] = {}
    for (position, key), owner in zip(keys, run_sync(service.owners([key for _, key in keys])), strict=True):
        if (first := positions.setdefault(key.digest, position)) != position:
            faults.append(f"{position}: has the same secret as {first}")
        if owner is not None:
            faults.append(f"{position}: {owner} has this secret already")
    return faults
