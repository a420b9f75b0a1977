"""Makes the upstream of a provider from its settings. Imports only the wire formats in use."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from completions_mw.providers.base import Upstream
from completions_mw.providers.endpoint import Endpoint, longest_first
from completions_mw.settings.providers import (
    AnthropicSettings,
    AzureSettings,
    BedrockSettings,
    CustomSettings,
    GeminiSettings,
    OpenAISettings,
    UpstreamSettings,
)

if TYPE_CHECKING:
    from completions_mw.providers.custom import CustomFormat


def upstream_of(provider: UpstreamSettings, custom: Mapping[str, "CustomFormat"] = MappingProxyType({})) -> Upstream:
    """Return the upstream of a provider that is reached over HTTP, with the first of its API keys.

    Args:
        provider: settings of the provider.
        custom: wire formats of the host app and of installed packages by name.

    Raises:
        ConfigurationError: the wire format cannot work with these settings.
        LookupError: a custom wire format is not in `custom`.
    """
    provider = provider.with_each_key()[0]
    match provider:
        case OpenAISettings():
            from completions_mw.providers import openai
            from completions_mw.providers.openai import embeddings as openai_embeddings

            return Upstream(openai, openai.build_endpoint(provider), openai.capabilities_of(provider), openai_embeddings)
        case AzureSettings():
            from completions_mw.providers import azure
            from completions_mw.providers.azure import embeddings as azure_embeddings

            return Upstream(azure, azure.build_endpoint(provider), azure.capabilities_of(provider), azure_embeddings)
        case GeminiSettings():
            from completions_mw.providers import gemini
            from completions_mw.providers.gemini import embeddings as gemini_embeddings

            return Upstream(gemini, gemini.build_endpoint(provider), gemini.capabilities_of(provider), gemini_embeddings)
        case BedrockSettings():
            from completions_mw.providers import bedrock
            from completions_mw.providers.bedrock import embeddings as bedrock_embeddings

            return Upstream(bedrock, bedrock.build_endpoint(provider), bedrock.capabilities_of(provider), bedrock_embeddings)
        case AnthropicSettings():
            from completions_mw.providers import anthropic

            return Upstream(anthropic, anthropic.build_endpoint(provider), anthropic.capabilities_of(provider))
        case CustomSettings():
            format = custom[provider.format]
            return Upstream(format, format.build_endpoint(provider), format.capabilities_of(provider), format.embeddings)
    raise LookupError(f"`{provider.api}` is no wire format")


def endpoints_of(
    provider: UpstreamSettings, upstream: Upstream, custom: Mapping[str, "CustomFormat"] = MappingProxyType({})
) -> tuple[Endpoint, ...]:
    """Return the endpoint of a provider with each of its API keys. None of them shows any of the keys in an error.

    Args:
        provider: settings of the provider.
        upstream: upstream of the provider, with its first key.
        custom: wire formats of the host app and of installed packages by name.
    """
    if len(provider.api_keys) <= 1:
        return (upstream.endpoint,)
    endpoints = [upstream_of(one, custom).endpoint for one in provider.with_each_key()]
    secrets = longest_first({secret for endpoint in endpoints for secret in endpoint.secrets})
    return tuple(replace(endpoint, secrets=secrets) for endpoint in endpoints)
