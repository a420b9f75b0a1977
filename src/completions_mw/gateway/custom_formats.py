"""Wire formats of the host app and of installed packages: finds those that the settings name."""

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final

from completions_mw.errors import ConfigurationError
from completions_mw.settings import Settings
from completions_mw.settings.base import suggestion
from completions_mw.settings.providers import CustomSettings

if TYPE_CHECKING:
    from completions_mw.providers.custom import CustomFormat

GROUP: Final = "completions_mw.providers"
"""Group of the entry points of packages that bring wire formats. Each names a subclass of `CustomFormat`."""


def custom_formats(settings: Settings, given: "Mapping[str, CustomFormat]") -> "dict[str, CustomFormat]":
    """Return the wire formats that providers with `api = "custom"` name.

    Args:
        settings: all settings.
        given: wire formats that the host app brings, by name; they come before those of packages.

    Raises:
        ConfigurationError: a format is not found, cannot be imported, or is not a `CustomFormat`.
    """
    named = {provider.format: name for name, provider in settings.providers.items() if isinstance(provider, CustomSettings)}
    if not named:
        return {}
    from completions_mw.providers.custom import CustomFormat

    installed = {entry.name: entry for entry in entry_points(group=GROUP)}
    found: dict[str, CustomFormat] = {}
    for format, provider in named.items():
        if format not in given and format not in installed:
            hint = suggestion(format, [*given, *installed])
            raise ConfigurationError(f"providers.{provider}.format: `{format}` is not in `providers=` of the gateway; {hint}")
        try:
            made = given[format] if format in given else installed[format].load()()
        except (ImportError, AttributeError) as error:
            raise ConfigurationError(f"providers.{provider}.format: `{format}` cannot be imported: {error}") from error
        if not isinstance(made, CustomFormat):
            raise ConfigurationError(f"providers.{provider}.format: `{format}` should be a CustomFormat, not {type(made).__name__}")
        found[format] = made
    return found
