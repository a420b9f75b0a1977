"""Servers that speak OpenAI's API, a row for each: name, base URL, and what its API takes. What differs between them is a row here.

Settings read the base URLs, providers read the capabilities.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a service or a model takes, where services that speak one API differ."""

    unsupported: frozenset[str] = frozenset()
    """Parameters that it refuses, and that are left out. With `stream_options` among them, streams are not asked for their usage."""
    max_tokens: str = "max_tokens"
    """Its name for the maximum of tokens that the gateway itself asks for."""


@dataclass(frozen=True, slots=True)
class Service:
    """A server that is known by name, by host or by both."""

    name: str
    """Of the provider that needs no `base_url`, as in `[providers.groq]`; empty where every customer has a base URL of their own."""
    base_url: str
    """Without a name, only its host counts: the domain that the customers' hosts are in."""
    capabilities: Capabilities = Capabilities()

    def serves(self, base_url: str) -> bool:
        """Tell whether `base_url` is on this server's host or a subdomain of it; where the row names a port, on that port only."""
        own, other = urlsplit(self.base_url), urlsplit(base_url)
        return own.port in (None, other.port) and f".{other.hostname}".endswith(f".{own.hostname}")


OPENAI: Final = Service(
    "openai", "https://api.openai.com/v1", Capabilities(unsupported=frozenset({"top_k"}), max_tokens="max_completion_tokens")
)
SERVICES: Final = (
    OPENAI,
    # Reasoning models of OpenAI refuse `max_tokens`, the older name, which all other servers know.
    Service("", "https://openai.azure.com", Capabilities(max_tokens="max_completion_tokens")),
    Service("cerebras", "https://api.cerebras.ai/v1"),
    Service("deepseek", "https://api.deepseek.com/v1"),
    Service("fireworks", "https://api.fireworks.ai/inference/v1"),
    Service("groq", "https://api.groq.com/openai/v1"),
    Service("lmstudio", "http://localhost:1234/v1"),
    Service("mistral", "https://api.mistral.ai/v1"),
    Service("ollama", "http://localhost:11434/v1"),
    Service("openrouter", "https://openrouter.ai/api/v1"),
    Service("together", "https://api.together.xyz/v1"),
    Service("xai", "https://api.x.ai/v1"),
)
"""Base URLs and differences as the services' own documentation has them. Servers that are not here take everything that OpenAI's API has,
and our extension `top_k`, as vLLM and llama.cpp do."""


def known_base_url(name: str) -> str:
    """Return the base URL of the service called `name`, in any case, so that a key of its is never sent to OpenAI; OpenAI's if none is."""
    return next((service.base_url for service in SERVICES if service.name and service.name == name.lower()), OPENAI.base_url)


def capabilities_at(base_url: str) -> Capabilities:
    """Return what the server at `base_url` takes."""
    return next((service.capabilities for service in SERVICES if service.serves(base_url)), Capabilities())
