"""The table of a provider with a wire format of the host app, or of an installed package."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field

from completions_mw.settings.providers.base import TimeoutSettings, UpstreamSettings
from completions_mw.settings.types import Name


class CustomSettings(UpstreamSettings):
    """A provider that speaks a wire format of the host app, or of an installed package (docs/extending.md, A wire format)."""

    api: Literal["custom"]
    format: Name = ""
    """Name of the wire format: of the option `providers` of the gateway, else of an entry point in the group `completions_mw.providers`.
    By default the provider's own name."""
    options: Mapping[str, Any] = Field(default_factory=dict)
    """Settings of the wire format, which it checks itself. Secrets belong into `api_key` and `headers`."""

    def completed(self, name: str, general: TimeoutSettings) -> Self:
        """Return this table with its format and timeouts filled in.

        Args:
            name: the provider's name in the settings.
            general: the timeouts of all providers.

        Raises:
            ValidationError: the provider has no base URL.
        """
        return super().completed(name, general).model_copy(update={"format": self.format or name})
