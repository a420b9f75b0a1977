"""Providers that need no table in the settings, because their names say which service is meant."""

import os
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from completions_mw.settings.compatible import SERVICES, service_named
from completions_mw.settings.providers.base import TimeoutSettings, UpstreamSettings
from completions_mw.settings.providers.openai import OpenAISettings


def implied_provider(name: str, kinds: Iterable[type[UpstreamSettings]], general: TimeoutSettings) -> UpstreamSettings:
    """Return a provider that is named after a service or after its `api`, with the API key in the environment variable of that service.

    Args:
        name: name of the provider.
        kinds: classes of the providers that may be named after their `api`.
        general: the timeouts of all providers.

    Raises:
        LookupError: the name means nothing.
        ValueError: an environment variable is not set, or holds something else; the text names it.
    """
    service = service_named(name)
    kind = OpenAISettings if service is not None else {kind.api_name(): kind for kind in _nameable(kinds)}[name.lower()]
    known = service or kind
    try:
        key = _key(known.key_variable, is_optional=known.key_is_optional)
        return kind(api=kind.api_name(), **key).completed(name, general)
    except ValidationError as error:
        found = [(str(fault["loc"][-1]), fault["msg"].removeprefix("Value error, ")) for fault in error.errors()]
    # Raised here and not in the handler: pydantic's error may hold the key.
    subjects = {"api_key": f"the environment variable {known.key_variable}"}
    raise ValueError("; ".join(f"{subjects.get(field, f'its `{field}`')} {text}" for field, text in found))


def implied_names(kinds: Iterable[type[UpstreamSettings]]) -> list[str]:
    """Return the names of the providers that need no table."""
    return [service.name for service in SERVICES if service.name] + [kind.api_name() for kind in _nameable(kinds)]


def _nameable(kinds: Iterable[type[UpstreamSettings]]) -> list[type[UpstreamSettings]]:
    return [kind for kind in kinds if kind.key_variable is not None]


def _key(variable: str | None, *, is_optional: bool) -> dict[str, Any]:
    if variable is None or (is_optional and not os.environ.get(variable)):
        return {}
    if not os.environ.get(variable):
        raise ValueError(f"the environment variable {variable} is not set")
    return {"api_key": f"env:{variable}"}
