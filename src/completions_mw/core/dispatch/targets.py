"""What can answer a request: an upstream behind HTTP, or a model in this process. The pipeline sees no difference."""

from dataclasses import dataclass, field
from typing import ClassVar, Final, Protocol

from completions_mw.core.ports import EventSource, Model, Transport
from completions_mw.core.validation.request import Chat
from completions_mw.errors import GatewayError, UpstreamError, UpstreamTimeoutError
from completions_mw.http import ClientConnection, UpstreamBody, UpstreamResponse
from completions_mw.providers.base import Completion, Endpoint, WireFormat
from completions_mw.sse import Decoder, Event

MAX_ERROR_BYTES = 64 * 1024
TOO_LARGE: Final = "upstream_too_large"


class Target(Protocol):
    """One thing that can answer."""

    @property
    def name(self) -> str:
        """`provider/model`, for logs."""
        ...

    @property
    def model(self) -> str:
        """What the model is called there."""
        ...

    @property
    def is_local(self) -> bool:
        """Whether the model runs in this process."""
        ...

    async def complete(self, chat: Chat, connection: ClientConnection | None) -> Completion:
        """Return the whole answer."""
        ...

    async def open(self, chat: Chat, connection: ClientConnection | None) -> EventSource:
        """Return the answer's events."""
        ...


@dataclass(frozen=True, slots=True)
class InProcessTarget:
    """A model in this process."""

    is_local: ClassVar = True

    name: str
    model: str
    port: Model

    async def complete(self, chat: Chat, connection: ClientConnection | None) -> Completion:
        return Completion(await self.port.complete(chat.request))

    async def open(self, chat: Chat, connection: ClientConnection | None) -> EventSource:
        return await self.port.stream(chat.request)


@dataclass(frozen=True, slots=True)
class UpstreamTarget:
    """A model of an upstream: a wire format translates, the transport does the I/O."""

    is_local: ClassVar = False

    name: str
    model: str
    wire: WireFormat
    endpoint: Endpoint
    transport: Transport = field(repr=False)
    max_response_bytes: int
    max_event_bytes: int

    async def complete(self, chat: Chat, connection: ClientConnection | None) -> Completion:
        response = await self._send(chat, connection)
        try:
            body = await read_whole(response.body, self.max_response_bytes)
        except GatewayError as error:
            # An answer had begun, and is billed: another one would be a second.
            error.next_target = False
            raise
        try:
            return self.wire.parse_completion(body)
        except GatewayError as error:
            error.maybe_billed = True
            error.message = self.endpoint.redact(error.message)
            raise

    async def open(self, chat: Chat, connection: ClientConnection | None) -> EventSource:
        response = await self._send(chat, connection)
        if not (response.header("content-type") or "text/event-stream").startswith("text/event-stream"):
            await response.body.aclose()
            error = UpstreamError("The upstream provider did not answer with a stream.", code="upstream_protocol_error")
            error.maybe_billed = True
            raise error
        return UpstreamEvents(response.body, self)

    async def _send(self, chat: Chat, connection: ClientConnection | None) -> UpstreamResponse:
        fields = chat.fields if chat.cap is None else {**chat.fields, self.endpoint.max_tokens: chat.cap}
        response = await self.transport.send(self.wire.build_request(self.endpoint, self.model, fields, connection))
        if response.status == 200:
            return response
        try:
            body = await read_whole(response.body, MAX_ERROR_BYTES)
        except (UpstreamError, UpstreamTimeoutError):
            # The status alone says enough.
            body = b""
        raise self.wire.parse_error(self.endpoint, response.status, response.headers, body)


class UpstreamEvents:
    """The `EventSource` of an upstream's stream."""

    __slots__ = ("_body", "_decoder", "_failure", "_room", "_target")

    def __init__(self, body: UpstreamBody, target: UpstreamTarget) -> None:
        self._body = body
        self._target = target
        self._decoder = Decoder(max_event_bytes=target.max_event_bytes)
        self._room = target.max_response_bytes
        self._failure: GatewayError | None = None

    async def __anext__(self) -> list[Event]:
        while self._failure is None:
            piece = await self._body.__anext__()
            if not piece:
                return []
            events = self._parse(piece)
            if events:
                return events
        raise self._failure

    def _parse(self, piece: bytes) -> list[Event]:
        """Return the events that `piece` completes. What came before a fault is still delivered; the fault is raised next."""
        events: list[Event] = []
        try:
            self._room -= len(piece)
            if self._room < 0:
                raise answer_too_large_error()
            parse = self._target.wire.parse_event
            for event in self._decoder.feed(piece):
                events.append(parse(event))  # noqa: PERF401 - a comprehension would lose the events before a fault
        except GatewayError as error:
            error.message = self._target.endpoint.redact(error.message)
            if error.code == TOO_LARGE:
                # Some servers send all of an answer as one event: it is billed as a whole one is.
                error.received, error.next_target = self._target.max_response_bytes - self._room, False
            self._failure = error
        return events

    async def finish(self) -> None:
        await self._body.finish()

    async def aclose(self) -> None:
        await self._body.aclose()


async def read_whole(body: UpstreamBody, limit: int) -> bytes:
    """Return all of `body`.

    Raises:
        UpstreamError: it has more than `limit` bytes, or broke off.
        UpstreamTimeoutError: it did not come to its end in time.
    """
    pieces: list[bytes] = []
    size = 0
    try:
        while size <= limit:
            piece = await body.__anext__()
            pieces.append(piece)
            size += len(piece)
        await body.aclose()
        raise answer_too_large_error()
    except StopAsyncIteration:
        return b"".join(pieces)
    except GatewayError as error:
        error.received = size
        raise


def answer_too_large_error() -> UpstreamError:
    """Return the error for an answer beyond its bounds (FAULTS section 1, promise 5)."""
    return UpstreamError("The upstream provider sent more than is accepted.", code=TOO_LARGE)
