"""The interface of a wire format: pure functions that translate between OpenAI's API, which the core uses, and an upstream's API."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from completions_mw.errors import GatewayError
from completions_mw.http import Headers, UpstreamRequest
from completions_mw.providers.endpoint import Endpoint
from completions_mw.settings.capabilities import Capabilities
from completions_mw.sse import Event


@dataclass(slots=True)
class Completion:
    """A whole answer, and the bytes that it was parsed from if the client may get them unchanged.

    The answer is a `chat.completion` object, or the `list` object of an answer with embeddings.
    """

    data: dict[str, Any]
    raw: bytes | None = None


class Translator(ABC):
    """Translates the bytes of one streamed answer into `chat.completion.chunk` events, and keeps the state of that answer.

    A wire format implements `_translate`, and `_finish` if it owes events at the end of the bytes. Both may raise at any point: the events
    that they have appended are delivered before the error, however the network has split the answer.
    """

    __slots__ = ("fault",)

    def __init__(self) -> None:
        self.fault: GatewayError | None = None
        """Error that ends the answer after the events returned so far; None while there is none. After it, nothing more is fed."""

    def feed(self, piece: bytes) -> list[Event]:
        """Return the events that `piece` completes, `DONE` last. Sets `fault` if the answer is malformed or reports an error."""
        events: list[Event] = []
        try:
            self._translate(piece, events)
        except GatewayError as error:
            self.fault = error
        return events

    def end(self) -> list[Event]:
        """Return the last events of an answer whose bytes ended without `DONE`. Sets `fault` if the answer was cut."""
        events: list[Event] = []
        try:
            self._finish(events)
        except GatewayError as error:
            self.fault = error
        return events

    @abstractmethod
    def _translate(self, piece: bytes, events: list[Event]) -> None:
        """Append the events that `piece` completes: none, one or many.

        Raises:
            GatewayError: the answer reports an error, is malformed, or exceeds a bound.
        """

    def _finish(self, events: list[Event]) -> None:  # noqa: B027 - optional: most wire formats append nothing
        """Append the last events when the bytes have ended. Without any, the core decides by the chunks whether the answer is complete.

        Raises:
            GatewayError: the answer was cut.
        """


class WireFormat(Protocol):
    """Interface of a wire format: one API of chat models. A module of this package implements it."""

    @property
    def stream_content_type(self) -> str:
        """Content type of a streamed answer, without parameters: `text/event-stream` for server-sent events."""
        ...

    def build_request(
        self,
        endpoint: Endpoint,
        capabilities: Capabilities,
        model: str,
        fields: Mapping[str, Any],
        max_tokens: int | None = None,
    ) -> UpstreamRequest:
        """Return the HTTP request that asks the upstream for an answer.

        Args:
            endpoint: URL, headers and timeouts of the upstream.
            capabilities: parameters that the upstream takes.
            model: name of the model at the upstream.
            fields: a validated chat completions request, without nulls. It is shared: a wire format must not change it.
            max_tokens: maximum of completion tokens that the gateway sets for a request without a maximum; None to leave `fields` alone.
        """
        ...

    def parse_completion(self, body: bytes) -> Completion:
        """Return the completion in the body of an answer with status 200.

        Raises:
            GatewayError: the body reports an error, or is not an answer of this API.
        """
        ...

    def parse_error(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        """Return the client's error for an answer whose status is not 200. Its `upstream_code` is the upstream's own error code.

        The texts may quote the upstream in full: the caller removes secrets with `Endpoint.redact`.
        """
        ...

    def open_stream(self, max_event_bytes: int) -> Translator:
        """Return the translator of one streamed answer.

        Args:
            max_event_bytes: bytes that one event may have; for a larger one, the code of the fault is `upstream_too_large`.
        """
        ...


class EmbeddingFormat(Protocol):
    """Interface of an API of embedding models. Its errors are those of the provider's `WireFormat`."""

    def max_inputs(self, model: str) -> int:
        """Return the inputs that one request to a model may have. The gateway sends more inputs in several requests, one after another.

        Raises:
            ConfigurationError: the API does not know the model as one of embeddings.
        """
        ...

    def build_embedding_request(self, endpoint: Endpoint, model: str, fields: Mapping[str, Any]) -> UpstreamRequest:
        """Return the HTTP request that asks the upstream for vectors.

        Args:
            endpoint: URL, headers and timeouts of the upstream.
            model: name of the model at the upstream.
            fields: a validated embeddings request, without nulls. It is shared: a wire format must not change it.

        Raises:
            InvalidRequestError: the upstream cannot take a field of the request.
        """
        ...

    def parse_embeddings(self, body: bytes, headers: Headers) -> Completion:
        """Return OpenAI's `list` object with the vectors of an answer with status 200.

        The vectors may be numbers or base64, whatever was asked for, and `usage`, `model`, `index` and `object` may be missing.

        Raises:
            GatewayError: the body reports an error, or is not an answer of this API.
        """
        ...


@dataclass(frozen=True, slots=True)
class Upstream:
    """The API of one provider: its wire format, its endpoint and its capabilities."""

    wire_format: WireFormat
    endpoint: Endpoint
    capabilities: Capabilities
    embeddings: EmbeddingFormat | None = None
    """The provider's API of embedding models; None if it has none."""
