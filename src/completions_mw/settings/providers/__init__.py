"""The tables `[providers.<name>]`, one class for each value of `api`.

The class of a provider says what the rest of the library must know of it: no code outside `providers/` compares `api`.

base.py       what all providers have: base URL, API key, headers, timeouts
openai.py     `api = "openai"`: OpenAI, and every server that speaks its API
azure.py      `api = "azure"`: Azure OpenAI
anthropic.py  `api = "anthropic"`: Anthropic, and servers that have its API beside OpenAI's
gemini.py     `api = "gemini"`: Google's Gemini API
bedrock.py    `api = "bedrock"`: Amazon Bedrock
local.py      `api = "llama_cpp"` and `api = "echo"`: models in this process
implied.py    providers that need no table, such as `groq`
custom.py     `api = "custom"`: a wire format of the host app, or of an installed package

A wire format that is added needs a class here, a place in `ProviderSettings`, and a case in `providers/registry.py`.
"""

from typing import Annotated, Final, get_args

from pydantic import Field

from completions_mw.settings.providers.anthropic import AnthropicSettings
from completions_mw.settings.providers.azure import AzureSettings
from completions_mw.settings.providers.base import AwsSignature, LocalSettings, TimeoutSettings, UpstreamSettings
from completions_mw.settings.providers.bedrock import BedrockSettings
from completions_mw.settings.providers.custom import CustomSettings
from completions_mw.settings.providers.gemini import GeminiSettings
from completions_mw.settings.providers.local import EchoSettings, LlamaCppSettings
from completions_mw.settings.providers.openai import OpenAISettings

__all__ = [
    "UPSTREAM_KINDS",
    "AnthropicSettings",
    "AwsSignature",
    "AzureSettings",
    "BedrockSettings",
    "CustomSettings",
    "EchoSettings",
    "GeminiSettings",
    "LlamaCppSettings",
    "LocalSettings",
    "OpenAISettings",
    "ProviderSettings",
    "TimeoutSettings",
    "UpstreamSettings",
]

ProviderSettings = Annotated[
    OpenAISettings
    | AzureSettings
    | AnthropicSettings
    | GeminiSettings
    | BedrockSettings
    | CustomSettings
    | LlamaCppSettings
    | EchoSettings,
    Field(discriminator="api"),
]
UPSTREAM_KINDS: Final[tuple[type[UpstreamSettings], ...]] = tuple(
    kind for kind in get_args(get_args(ProviderSettings)[0]) if not kind.is_local
)
"""Classes of the providers that are reached over HTTP."""
