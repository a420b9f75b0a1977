"""Makes the upstream of a provider from its settings. Imports only the wire formats in use."""

from collections.abc import Callable
from typing import Any

from completions_mw.providers.base import Upstream
from completions_mw.settings.compatible import capabilities_at
from completions_mw.settings.providers import OpenAISettings, UpstreamSettings

UpstreamMaker = Callable[[Any], Upstream]
"""Function that makes the upstream of a provider from its settings, an instance of the settings class of its `api`."""


def upstream_of(provider: UpstreamSettings) -> Upstream:
    """Return the upstream of a provider that is reached over HTTP."""
    return _MAKERS[provider.api](provider)


def register(api: str, make: UpstreamMaker) -> None:
    """Register a wire format for all gateways that this process builds afterwards.

    Args:
        api: value of `api` in the settings of providers that speak it.
        make: returns the upstream of a provider; called once for each provider.
    """
    _MAKERS[api] = make


def _openai(provider: OpenAISettings) -> Upstream:
    from completions_mw.providers import openai

    capabilities = capabilities_at(provider.base_url)
    if not provider.stream_options:
        capabilities = capabilities.without("stream_options")
    return Upstream(openai, openai.build_endpoint(provider), capabilities)


_MAKERS: dict[str, UpstreamMaker] = {"openai": _openai}
