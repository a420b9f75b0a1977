"""What a wire format is: pure functions between the gateway's vocabulary, which is OpenAI's, and an upstream's API."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from completions_mw.errors import GatewayError
from completions_mw.http import ClientConnection, Headers, UpstreamRequest
from completions_mw.providers.endpoint import Endpoint
from completions_mw.settings.compatible import Capabilities
from completions_mw.sse import Event


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer: a `chat.completion` object, and the bytes it was parsed from if they can be relayed as they came."""

    data: dict[str, Any]
    raw: bytes | None = None


class Translator(ABC):
    """Turns the bytes of one streamed answer into `chat.completion.chunk` events. Made anew for each answer, whose state it keeps.

    A wire format implements `_translate`, and `_finish` where the end of the bytes means something. Both may raise at any point: the events
    that they appended before are delivered first, so that no way of splitting an answer loses one.
    """

    __slots__ = ("fault",)

    def __init__(self) -> None:
        self.fault: GatewayError | None = None
        """What is wrong with the answer. It comes after the events that were returned, and ends the answer: nothing more is fed."""

    def feed(self, piece: bytes) -> list[Event]:
        """Return the events that `piece` completes, `DONE` last; sets `fault` where the answer is wrong or reports an error."""
        events: list[Event] = []
        try:
            self._translate(piece, events)
        except GatewayError as error:
            self.fault = error
        return events

    def end(self) -> list[Event]:
        """Return the events that are still owed when the bytes ended without `DONE`; sets `fault` where they may not end here."""
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
            GatewayError: the answer reports an error, is not one of this API, or passes a bound.
        """

    def _finish(self, events: list[Event]) -> None:  # noqa: B027 - most wire formats owe nothing
        """Append what is owed at the end of the bytes. Without anything, the grammar of chunks decides whether the answer is complete.

        Raises:
            GatewayError: the answer was cut.
        """


class WireFormat(Protocol):
    """One API of chat models. Implemented by the modules of this package."""

    @property
    def stream_content_type(self) -> str:
        """What the answer to a streamed request must declare, without parameters: `text/event-stream` for server-sent events."""
        ...

    def build_request(
        self,
        endpoint: Endpoint,
        capabilities: Capabilities,
        model: str,
        fields: Mapping[str, Any],
        max_tokens: int | None = None,
        connection: ClientConnection | None = None,
    ) -> UpstreamRequest:
        """Return the upstream's request.

        Args:
            endpoint: where the upstream is.
            capabilities: what the model takes there.
            model: its name there.
            fields: a validated chat completions request, without nulls; shared, so it must not be changed.
            max_tokens: the maximum of tokens that the gateway asks for; `fields` has none then.
            connection: the client for whom the request is made.
        """
        ...

    def parse_completion(self, body: bytes) -> Completion:
        """Return the answer that stands in `body`.

        Raises:
            GatewayError: it reports an error, or is not an answer of this API.
        """
        ...

    def parse_error(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        """Return what an answer other than 200 means for a client; its `upstream_code` is the upstream's own code.

        The texts are the upstream's, in full: whoever calls this takes the endpoint's secrets out of them.
        """
        ...

    def open_stream(self, max_event_bytes: int) -> Translator:
        """Return what translates one streamed answer.

        Args:
            max_event_bytes: what one event may hold; beyond it the code of the fault is `upstream_too_large`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Upstream:
    """The API of one provider: how it is spelt, where it is, what it takes."""

    wire_format: WireFormat
    endpoint: Endpoint
    capabilities: Capabilities
