"""What adapters need before the first request: the framework itself, the right kind of gateway, the host app's settings."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from completions_mw.errors import ConfigurationError
from completions_mw.gateway import AsyncGateway, Gateway
from completions_mw.settings import Settings


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Let a failed import within the `with` block name the extra that has to be installed.

    Raises:
        ImportError: the framework of an adapter is not installed; names the extra that brings it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or extra).partition(".")[0]
        text = f"completions_mw.adapters.{extra} needs {missing}: pip install 'completions-mw[{extra}]'"
        raise ImportError(text, name=missing) from error


def check_gateway(gateway: object, kind: type[Gateway] | type[AsyncGateway]) -> None:
    """Check that a gateway is of the kind that the host needs, before the first request fails.

    Raises:
        TypeError: it is the other kind of gateway, or none.
    """
    if not isinstance(gateway, kind):
        needed = f'{kind.__name__}(Settings.from_toml("completions.toml"))'
        raise TypeError(f"`gateway` should be one for this kind of app, as `{needed}`, not {type(gateway).__name__}")


def settings_of(value: object, name: str) -> Settings:
    """Return the tree of a host app's setting: a mapping, the path of a TOML file, or the tree itself.

    Args:
        value: the setting.
        name: what the host app calls it.

    Raises:
        ConfigurationError: it is not set, none of these, or does not work.
    """
    if isinstance(value, Settings):
        return value
    if isinstance(value, Mapping):
        return Settings.from_mapping(value)
    if isinstance(value, str | os.PathLike):
        return Settings.from_toml(value)
    expected = "should be a mapping, the path of a TOML file, or a Settings"
    raise ConfigurationError(f"{name}: is not set; it {expected}" if value is None else f"{name}: {expected}")
