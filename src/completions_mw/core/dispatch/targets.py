"""Targets, which answer requests: a model of an upstream behind HTTP, or a model in this process."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Final, NamedTuple, Protocol

from completions_mw.core.dispatch.batches import batches_of, joined
from completions_mw.core.dispatch.client_words import put_in_client_words
from completions_mw.core.dispatch.parameters import TargetParams
from completions_mw.core.dispatch.stream_start import RejoinedBody, read_start
from completions_mw.core.ports import Credentials, EventSource, Model, Transport
from completions_mw.core.resilience import TargetHealth
from completions_mw.core.validation.embeddings import Embed
from completions_mw.core.validation.request import Chat
from completions_mw.errors import GatewayError, InvalidRequestError, UpstreamError, UpstreamTimeoutError
from completions_mw.http import ClientConnection, UpstreamBody, UpstreamRequest, UpstreamResponse
from completions_mw.providers.base import Completion, Upstream
from completions_mw.providers.endpoint import Endpoint
from completions_mw.settings.capabilities import Capabilities
from completions_mw.sse import EVENT_STREAM, Event

MAX_ERROR_BYTES: Final = 64 * 1024
"""Maximum of bytes that are read of an upstream's error."""
_ANSWERED: Final = frozenset({200, 201, 202, 203})
"""Statuses of answers: some frameworks send 201 for every POST, and proxies 203 for what they have changed."""
_STREAM_OPTIONS: Final = re.compile("stream_options|include_usage")
ERROR_SECONDS: Final = 2.0
"""Seconds of silence for which the body of an upstream's error is awaited."""
TOO_LARGE_CODE: Final = "upstream_too_large"


class Asking(NamedTuple):
    """For whom a target is asked, and how long it may take."""

    connection: ClientConnection | None = None
    """Connection of the client, who may leave meanwhile."""
    caller: str = ""
    """Scope and id of the caller, who may have a share of the connections; empty for the host app itself."""
    seconds: float | None = None
    """Seconds that the answer may take; None for the target's own `total`. A model in this process answers as long as it likes."""


class Target(Protocol):
    """A model of an upstream or in this process, which answers requests of all callers."""

    @property
    def name(self) -> str:
        """`provider/model`, for logs and prices."""
        ...

    @property
    def model(self) -> str:
        """The model's name at its provider."""
        ...

    @property
    def is_local(self) -> bool:
        """Whether the model runs in this process."""
        ...

    @property
    def total(self) -> float:
        """Seconds that an answer may take."""
        ...

    @property
    def params(self) -> TargetParams | None:
        """The parameters that the target does not take; None if it takes all."""
        ...

    @property
    def health(self) -> TargetHealth:
        """What this process knows of its failures, and of how soon it answers."""
        ...

    async def complete(self, chat: Chat, asking: Asking) -> Completion:
        """Return a whole answer.

        Args:
            chat: the request, with parameters that fit the target.
            asking: for whom.

        Raises:
            GatewayError: the target gives no answer.
        """
        ...

    async def embed(self, request: Embed, asking: Asking) -> Completion:
        """Return an answer with a vector for each input.

        Args:
            request: the request.
            asking: for whom.

        Raises:
            GatewayError: the target gives no answer.
        """
        ...

    async def open(self, chat: Chat, asking: Asking) -> EventSource:
        """Return the events of a streamed answer.

        Args:
            chat: the request.
            asking: for whom.

        Raises:
            GatewayError: the target gives no answer.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class InProcessTarget:
    """A target in this process: a Python function, echo, llama.cpp."""

    is_local: ClassVar = True
    params: ClassVar = None

    name: str
    model: str
    port: Model
    total: float
    health: TargetHealth
    ignored: frozenset[str] = frozenset()
    """Parameters that change nothing at this model, of which its clients are told."""

    async def complete(self, chat: Chat, asking: Asking) -> Completion:
        return Completion(await self.port.complete(chat.request))

    async def embed(self, request: Embed, asking: Asking) -> Completion:
        return Completion(await self.port.embed(request.request))

    async def open(self, chat: Chat, asking: Asking) -> EventSource:
        return await self.port.stream(chat.request)


@dataclass(slots=True)
class Habits:
    """What a target was found to do, for the time of this process."""

    refuses_stream_options: bool = False
    """Whether it answers a stream only if it is not asked for usage."""


@dataclass(frozen=True, slots=True, eq=False)
class UpstreamTarget:
    """A target behind HTTP: the upstream's wire format translates requests and answers, the transport sends them."""

    is_local: ClassVar = False

    name: str
    model: str
    upstream: Upstream
    endpoints: tuple[Endpoint, ...]
    """The upstream's endpoint with each of its API keys, which take turns. Each knows the secrets of all."""
    transport: Transport = field(repr=False)
    health: TargetHealth
    max_response_bytes: int
    max_event_bytes: int
    credentials: Credentials | None = field(default=None, repr=False)
    """What proves who sends a request; None if it is in the headers of the endpoint."""
    params: TargetParams | None = None
    maximum: int | None = None
    """Maximum of completion tokens for a request that sets none; None if the upstream needs none."""
    habits: Habits = field(default_factory=Habits)

    @property
    def total(self) -> float:
        return self.endpoints[0].timeouts.total

    async def complete(self, chat: Chat, asking: Asking) -> Completion:
        return await self._whole(await self._send(chat, asking), self.upstream.wire_format.parse_completion)

    async def embed(self, request: Embed, asking: Asking) -> Completion:
        api = self.upstream.embeddings
        assert api is not None  # The gateway was not built if a model needs what its provider has not.
        answers: list[Completion] = []
        try:
            for fields in batches_of(request.fields, api.max_inputs(self.model)):
                key = self._next_key()
                call = api.build_embedding_request(self.endpoints[key], self.model, fields)
                response = await self._call(call, key, asking)
                answers.append(await self._whole(response, partial(api.parse_embeddings, headers=response.headers)))
        except GatewayError as error:
            if answers:
                # The parts before are billed, so nobody is asked again, and the request is charged.
                error.next_target, error.received = False, error.received or 0
            raise
        return joined(answers)

    async def open(self, chat: Chat, asking: Asking) -> EventSource:
        response = await self._send(chat, asking)
        expected = self.upstream.wire_format.stream_content_type
        body = response.body
        if not (response.header("content-type") or expected).lower().startswith(expected):
            start, is_stream = await self._start_of(response)
            if not is_stream:
                raise await self._no_stream_error(response, start)
            body = RejoinedBody(start, body)
        return UpstreamEvents(body, self)

    async def _whole(self, response: UpstreamResponse, parse: Callable[[bytes], Completion]) -> Completion:
        """Return the whole answer in a response."""
        try:
            body = await read_whole(response.body, self.max_response_bytes)
        except GatewayError as error:
            # The answer had begun and is billed, so no other target may be asked.
            error.next_target = False
            raise
        try:
            return parse(body)
        except GatewayError as error:
            error.maybe_billed = True
            self.complete_error(error, response.status)
            raise

    async def _start_of(self, response: UpstreamResponse) -> tuple[bytes, bool]:
        if self.upstream.wire_format.stream_content_type != EVENT_STREAM:
            return b"", False
        return await read_start(response.body)

    async def _no_stream_error(self, response: UpstreamResponse, start: bytes) -> GatewayError:
        """Return the error for an answer that is no stream, with the reason that it may give."""
        error: GatewayError = UpstreamError("The upstream provider did not answer with a stream.", code="upstream_protocol_error")
        try:
            self.upstream.wire_format.parse_completion(start + await read_whole(response.body, MAX_ERROR_BYTES))
        except GatewayError as found:
            error = error if found.code == error.code or found.received is not None else found
        error.maybe_billed = True
        self.complete_error(error, response.status)
        return error

    async def _send(self, chat: Chat, asking: Asking) -> UpstreamResponse:
        """Return the response to a request, which is sent once more without `stream_options` if the upstream refuses these.

        Raises:
            GatewayError: the upstream gives no answer.
        """
        capabilities = self.upstream.capabilities
        if self.habits.refuses_stream_options:
            capabilities = capabilities.without("stream_options")
        try:
            return await self._ask(chat, asking, capabilities)
        except InvalidRequestError as error:
            without = capabilities.without("stream_options")
            if capabilities == without or not chat.stream or not _STREAM_OPTIONS.search(f"{error.message} {error.param}"):
                raise
        response = await self._ask(chat, asking, without)
        self.habits.refuses_stream_options = True
        return response

    async def _ask(self, chat: Chat, asking: Asking, capabilities: Capabilities) -> UpstreamResponse:
        key, build = self._next_key(), self.upstream.wire_format.build_request
        cap = self.maximum if chat.cap is None and self.maximum is not None and chat.max_tokens is None else chat.cap
        request = build(self.endpoints[key], capabilities, self.model, chat.fields, cap)
        try:
            return await self._call(request, key, asking)
        except GatewayError as error:
            put_in_client_words(error, chat, capabilities.renamed)
            raise

    def _next_key(self) -> int:
        return self.health.next_key() if len(self.endpoints) > 1 else 0

    async def _call(self, request: UpstreamRequest, key: int, asking: Asking) -> UpstreamResponse:
        """Send a request, which has one of the API keys, and return its response, whose status is that of an answer.

        Raises:
            GatewayError: the upstream gives no answer.
        """
        request.connection, request.caller = asking.connection, asking.caller
        if asking.seconds is not None:
            request.timeouts = request.timeouts.within(asking.seconds)
        if self.credentials is not None:
            await self.credentials.authorize(request)
        response = await self.transport.send(request)
        if response.status in _ANSWERED:
            return response
        response.body.detach(ERROR_SECONDS)
        try:
            body = await read_whole(response.body, MAX_ERROR_BYTES, ends_in_silence=True)
        except (UpstreamError, UpstreamTimeoutError):
            # The error can be made from the status alone.
            body = b""
        error = self.upstream.wire_format.parse_error(response.status, response.headers, body)
        self.complete_error(error, response.status)
        error.upstream_key = key + 1 if len(self.endpoints) > 1 else None
        try:
            raise error
        finally:
            # The exception holds this frame by its traceback: were it held by the frame, both would wait for the garbage collector.
            del error

    def complete_error(self, error: GatewayError, status: int) -> None:
        """Set the source and the upstream status of an error, and remove the upstream's secrets from its texts."""
        error.source, error.upstream_status = "upstream", status
        self.endpoints[0].redact(error, () if self.credentials is None else self.credentials.secrets)


class UpstreamEvents:
    """The `EventSource` of an upstream's stream: feeds the body to the translator of the wire format."""

    __slots__ = ("_body", "_ended", "_failure", "_room", "_target", "_translator")

    def __init__(self, body: UpstreamBody, target: UpstreamTarget) -> None:
        self._body = body
        self._target = target
        self._translator = target.upstream.wire_format.open_stream(target.max_event_bytes)
        self._room = target.max_response_bytes
        self._ended = False
        self._failure: GatewayError | None = None

    async def __anext__(self) -> list[Event]:
        # One flat function, because it runs for every chunk.
        translator = self._translator
        while self._failure is None and not self._ended:
            try:
                piece = await self._body.__anext__()
            except StopAsyncIteration:
                self._ended = True
                events = translator.end()
            else:
                self._room -= len(piece)
                if self._room < 0:
                    self._fail(answer_too_large_error())
                    break
                events = translator.feed(piece) if piece else []
            if translator.fault is not None:
                self._fail(translator.fault)
                if translator.fault.usage is not None:
                    events.append(Event({"choices": [], "usage": translator.fault.usage}))
            if events or not (self._ended or self._failure):
                # Without any for a keep-alive interval, or for bytes that make no event yet.
                return events
        if self._failure is not None:
            raise self._failure
        raise StopAsyncIteration

    def _fail(self, error: GatewayError) -> None:
        """Raise `error` after the events before it have been returned."""
        if error.code == TOO_LARGE_CODE:
            # A server that sends its answer as one event bills it like a whole answer.
            error.received, error.next_target = self._target.max_response_bytes - self._room, False
        self._target.complete_error(error, 200)
        self._failure = error

    def detach(self, tick: float) -> None:
        self._body.detach(tick)

    async def finish(self) -> None:
        await self._body.finish()

    async def aclose(self) -> None:
        await self._body.aclose()


async def read_whole(body: UpstreamBody, limit: int, *, ends_in_silence: bool = False) -> bytes:
    """Return all bytes of a body.

    Args:
        body: body to be read.
        limit: bytes that it may have.
        ends_in_silence: whether an interval without news ends the body.

    Raises:
        UpstreamError: the body has more than `limit` bytes, or was cut off.
        UpstreamTimeoutError: the body did not end in time.
    """
    pieces: list[bytes] = []
    size = 0
    try:
        while size <= limit:
            piece = await body.__anext__()
            if not piece and ends_in_silence:
                await body.aclose()
                return b"".join(pieces)
            pieces.append(piece)
            size += len(piece)
        await body.aclose()
        raise answer_too_large_error()
    except StopAsyncIteration:
        return b"".join(pieces)
    except BaseException as error:
        await body.aclose()
        if isinstance(error, GatewayError):
            error.received = size
        raise


def answer_too_large_error() -> UpstreamError:
    """Return the error for an answer that exceeds `max_response_bytes` (docs/promises.md, Bounds)."""
    return UpstreamError("The upstream provider sent more than is accepted.", code=TOO_LARGE_CODE)
