"""Where settings are read from: TOML files and environment variables. Nothing is checked here but the syntax."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from completions_mw.errors import ConfigurationError


def read_toml(path: Path) -> dict[str, Any]:
    """Return what the TOML file `path` holds."""
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        problem = "is not text in UTF-8"
    except ValueError as error:
        problem = f"is not TOML: {error}"
    # Not within the handlers: the errors there carry the file's content, which may hold secrets.
    raise ConfigurationError(f"{path.absolute()}: {problem}")


def place_variables(tree: dict[str, Any], variables: Mapping[str, str], prefix: str) -> None:
    """Put environment variables into `tree`, each where its name says."""
    # Sorted, a table comes before its own fields, which then replace those within it.
    for name in sorted(variables):
        table = tree
        *tables, field = name.removeprefix(prefix).lower().split("__")
        for part in tables:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise ConfigurationError(f"{name}: `{part}` is not a table")
        table[field] = _parse(name, variables[name])


def _parse(name: str, text: str) -> Any:
    if not text.startswith(("{", "[")):
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        problem = "starts as JSON, but is none"
    raise ConfigurationError(f"{name}: {problem}")
