"""Reads settings from TOML files and environment variables, and checks nothing but the syntax."""

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from completions_mw.errors import ConfigurationError


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file.

    Raises:
        ConfigurationError: the file cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        problem = "is not text in UTF-8"
    except ValueError as error:
        problem = f"is not TOML: {error}"
    # Raised here and not in the handlers: the errors there hold the content of the file, which may hold secrets.
    raise ConfigurationError(f"{path.absolute()}: {problem}")


def read_environment(prefix: str, config: Path | None = None) -> tuple[dict[str, Any], Path | None]:
    """Return the settings in the environment variables that start with `prefix`, and the folder of the TOML file among them, if any.

    Args:
        prefix: what the names of the variables start with.
        config: TOML file that counts instead of the one that a variable names.

    Raises:
        ConfigurationError: the TOML file cannot be read, or a variable's name or value has a fault.
    """
    variables = {name: value for name, value in os.environ.items() if name.startswith(prefix)}
    named = variables.pop(f"{prefix}CONFIG", "")
    file = config or (Path(named) if named else None)
    tree = read_toml(file) if file else {}
    _place_variables(tree, variables, prefix)
    return tree, file.parent if file else None


def _place_variables(tree: dict[str, Any], variables: Mapping[str, str], prefix: str) -> None:
    # Sorted, a table comes before its fields, whose variables then replace those within it.
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
