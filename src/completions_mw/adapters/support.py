"""Used by all adapters: optional imports, settings of the host app, checks of the gateway's kind."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from completions_mw.errors import ConfigurationError
from completions_mw.gateway import AsyncGateway, Gateway
from completions_mw.settings import Settings


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Make the failed imports of a `with` block name the extra to install.

    Args:
        extra: the extra that installs the framework, and the name of the adapter.

    Raises:
        ImportError: the framework is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or extra).partition(".")[0]
        text = f"completions_mw.adapters.{extra} needs {missing}: pip install 'completions-mw[{extra}]'"
        raise ImportError(text, name=missing) from error


def check_gateway(gateway: object, kind: type[Gateway] | type[AsyncGateway]) -> None:
    """Check that `gateway` is of the `kind` that the host app needs, before the first request fails.

    Raises:
        TypeError: `gateway` is of the other kind, or no gateway.
    """
    if not isinstance(gateway, kind):
        needed = f'{kind.__name__}(Settings.from_toml("completions.toml"))'
        raise TypeError(f"`gateway` should be one for this kind of app, as `{needed}`, not {type(gateway).__name__}")


def settings_of(value: object, name: str) -> Settings:
    """Return the `Settings` that a setting of the host app holds.

    Args:
        value: value of the setting: a mapping, the path of a TOML file, or a `Settings`.
        name: name of the setting, for errors.

    Raises:
        ConfigurationError: the setting is missing or of another type, or its content cannot work.
    """
    if isinstance(value, Settings):
        return value
    if isinstance(value, Mapping):
        return Settings.from_mapping(value)
    if isinstance(value, str | os.PathLike):
        return Settings.from_toml(value)
    expected = "should be a mapping, the path of a TOML file, or a Settings"
    raise ConfigurationError(f"{name}: is not set; it {expected}" if value is None else f"{name}: {expected}")
