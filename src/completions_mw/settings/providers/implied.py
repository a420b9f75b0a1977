"""Providers that need no table in the settings, because their names say which service is meant."""

import os
from collections.abc import Iterable
from typing import Any

from completions_mw.settings.compatible import SERVICES, address_of, service_named
from completions_mw.settings.providers.base import UpstreamSettings
from completions_mw.settings.providers.openai import OpenAISettings


def implied_provider(name: str, kinds: Iterable[type[UpstreamSettings]]) -> UpstreamSettings:
    """Return a provider that is named after a service or after its `api`, with the API key in the environment variable of that service.

    Args:
        name: name of the provider.
        kinds: classes of the providers that may be named after their `api`.

    Returns:
        The provider, without its base URL and timeouts.

    Raises:
        LookupError: the name means nothing.
        ValueError: an environment variable is not set; the text names it.
    """
    service = service_named(name)
    if service is not None:
        address_of(service)
        return OpenAISettings(api="openai", **_key(service.key_variable, is_optional=service.key_is_optional))
    kind = next((kind for kind in kinds if kind.key_variable is not None and kind.api_name() == name.lower()), None)
    if kind is None:
        raise LookupError(name)
    return kind(api=kind.api_name(), **_key(kind.key_variable, is_optional=kind.key_is_optional))


def implied_names(kinds: Iterable[type[UpstreamSettings]]) -> list[str]:
    """Return the names of the providers that need no table."""
    return [service.name for service in SERVICES if service.name] + [kind.api_name() for kind in kinds if kind.key_variable is not None]


def _key(variable: str | None, *, is_optional: bool) -> dict[str, Any]:
    if variable is None or (is_optional and not os.environ.get(variable)):
        return {}
    if not os.environ.get(variable):
        raise ValueError(f"the environment variable {variable} is not set")
    return {"api_key": f"env:{variable}"}
