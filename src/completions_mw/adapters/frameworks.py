"""What the adapters of frameworks need before the first request: the framework itself, and the host app's settings."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from completions_mw.errors import ConfigurationError
from completions_mw.settings import Settings


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Say what to install where the imports of the `with` block fail.

    Raises:
        ImportError: the framework of an adapter is not installed; names the extra that brings it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or extra).partition(".")[0]
        text = f"completions_mw.adapters.{extra} needs {missing}: pip install 'completions-mw[{extra}]'"
        raise ImportError(text, name=missing) from error


def settings_of(value: object, name: str) -> Settings:
    """Return the tree of a host app's setting: a mapping, the path of a TOML file, or the tree itself (DESIGN section 6).

    Args:
        value: the setting.
        name: what the host app calls it.

    Raises:
        ConfigurationError: it is none of these, or does not work.
    """
    if isinstance(value, Settings):
        return value
    if isinstance(value, Mapping):
        return Settings.from_mapping(value)
    if isinstance(value, str | os.PathLike):
        return Settings.from_toml(value)
    raise ConfigurationError(f"{name}: should be a mapping, the path of a TOML file, or a Settings")
