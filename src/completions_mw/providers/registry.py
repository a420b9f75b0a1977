"""From a provider's settings to its upstream. Only the modules of wire formats that providers speak are imported."""

from collections.abc import Callable
from typing import Any

from completions_mw.providers.base import Upstream
from completions_mw.settings.compatible import capabilities_at
from completions_mw.settings.providers import OpenAISettings, UpstreamSettings

UpstreamMaker = Callable[[Any], Upstream]
"""Makes the upstream of a provider from its settings, which are of the kind that the provider's `api` names."""


def upstream_of(provider: UpstreamSettings) -> Upstream:
    """Return the upstream of a provider that is not local."""
    return _MAKERS[provider.api](provider)


def register(api: str, make: UpstreamMaker) -> None:
    """Add a wire format for all gateways that this process makes from now on.

    Args:
        api: what settings call it.
        make: called once for each provider with this `api`.
    """
    _MAKERS[api] = make


def _openai(provider: OpenAISettings) -> Upstream:
    from completions_mw.providers import openai

    return Upstream(openai, openai.build_endpoint(provider), capabilities_at(provider.base_url))


_MAKERS: dict[str, UpstreamMaker] = {"openai": _openai}
