"""The base class of wire formats that host apps and installed packages bring (docs/extending.md, A wire format)."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from completions_mw.errors import GatewayError
from completions_mw.http import Headers, UpstreamRequest
from completions_mw.providers.base import Completion, EmbeddingFormat, Translator
from completions_mw.providers.client_errors import parse_error
from completions_mw.providers.endpoint import Endpoint, bearer, endpoint_of
from completions_mw.settings.capabilities import Capabilities
from completions_mw.settings.providers import CustomSettings
from completions_mw.sse import EVENT_STREAM


class CustomFormat(ABC):
    """A wire format of a host app: a `WireFormat` that also says how its providers are reached.

    One instance serves all providers that name it. It keeps no state of requests: that of a stream is in its `Translator`.
    """

    stream_content_type: str = EVENT_STREAM
    """Content type of a streamed answer, without parameters."""
    embeddings: EmbeddingFormat | None = None
    """The API's embeddings; None if it has none."""
    capabilities: Capabilities = Capabilities()
    """What the API supports of OpenAI's. A parameter that is not translated belongs into its `unsupported`."""

    def build_endpoint(self, settings: CustomSettings) -> Endpoint:
        """Return the endpoint of a provider: by default its `base_url`, with the API key as a bearer token."""
        return endpoint_of(settings, settings.base_url, {"authorization": bearer(settings)})

    def capabilities_of(self, settings: CustomSettings) -> Capabilities:
        """Return what a provider supports: by default `capabilities`."""
        return self.capabilities

    @abstractmethod
    def build_request(
        self,
        endpoint: Endpoint,
        capabilities: Capabilities,
        model: str,
        fields: Mapping[str, Any],
        max_tokens: int | None = None,
    ) -> UpstreamRequest:
        """Return the HTTP request that asks the upstream for an answer, as `WireFormat.build_request` says."""

    @abstractmethod
    def parse_completion(self, body: bytes) -> Completion:
        """Return the completion in the body of an answer with status 200, as `WireFormat.parse_completion` says."""

    def parse_error(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        """Return the client's error for an answer whose status is not 200: by default from JSON in any of the usual shapes."""
        return parse_error(status, headers, body)

    @abstractmethod
    def open_stream(self, max_event_bytes: int) -> Translator:
        """Return the translator of one streamed answer, as `WireFormat.open_stream` says."""
