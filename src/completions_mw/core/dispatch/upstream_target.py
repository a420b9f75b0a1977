"""Targets behind HTTP."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Final

from completions_mw.core.dispatch.client_words import put_in_client_words
from completions_mw.core.dispatch.parameters import TargetParams
from completions_mw.core.dispatch.stream_start import RejoinedBody, read_start
from completions_mw.core.dispatch.targets import CallOptions
from completions_mw.core.dispatch.upstream_answers import UpstreamEvents, read_whole
from completions_mw.core.ports import Credentials, EventSource, Transport
from completions_mw.core.resilience import TargetHealth
from completions_mw.core.validation.embeddings import Embed
from completions_mw.core.validation.request import Chat
from completions_mw.errors import GatewayError, InvalidRequestError, UpstreamError, UpstreamTimeoutError
from completions_mw.http import UpstreamRequest, UpstreamResponse
from completions_mw.providers.base import Completion, EmbeddingFormat, Upstream
from completions_mw.providers.endpoint import Endpoint
from completions_mw.settings.capabilities import Capabilities
from completions_mw.sse import EVENT_STREAM

MAX_ERROR_BYTES: Final = 64 * 1024
"""Maximum of bytes that are read of an upstream's error."""
ERROR_SECONDS: Final = 2.0
"""Seconds of silence for which the body of an upstream's error is awaited."""
_ANSWERED: Final = frozenset({200, 201, 202, 203})
"""Statuses of answers: some frameworks send 201 for every POST, and proxies 203 for what they have changed."""
_STREAM_OPTIONS: Final = re.compile("stream_options|include_usage")


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
    provider: str = ""
    """Digest of those settings of its provider that its answers depend on."""
    habits: Habits = field(default_factory=Habits)

    @property
    def variant(self) -> str:
        policy = None if self.params is None else self.params.policy
        return f"{self.provider} {policy} {self.maximum}"

    @property
    def total(self) -> float:
        return self.endpoints[0].timeouts.total

    @property
    def max_inputs(self) -> int:
        return self._embeddings.max_inputs(self.model)

    @property
    def _embeddings(self) -> EmbeddingFormat:
        assert self.upstream.embeddings is not None  # Else the gateway of a model that needs it would not have been built.
        return self.upstream.embeddings

    async def complete(self, chat: Chat, options: CallOptions) -> Completion:
        return await self._whole(await self._send(chat, options), self.upstream.wire_format.parse_completion)

    async def embed(self, request: Embed, options: CallOptions) -> Completion:
        api, key = self._embeddings, self._next_key()
        call = api.build_embedding_request(self.endpoints[key], self.model, request.fields)
        response = await self._call(call, key, options)
        return await self._whole(response, partial(api.parse_embeddings, headers=response.headers))

    async def open(self, chat: Chat, options: CallOptions) -> EventSource:
        response = await self._send(chat, options)
        expected = self.upstream.wire_format.stream_content_type
        body = response.body
        if not (response.header("content-type") or expected).lower().startswith(expected):
            # Server-sent events are recognised by their first bytes; other framings are not.
            start, is_stream = await read_start(body) if expected == EVENT_STREAM else (b"", False)
            if not is_stream:
                raise await self._no_stream_error(response, start)
            body = RejoinedBody(start, body)
        return UpstreamEvents(
            body, self.upstream.wire_format.open_stream(self.max_event_bytes), self.max_response_bytes, self.complete_error
        )

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

    async def _no_stream_error(self, response: UpstreamResponse, start: bytes) -> GatewayError:
        """Return the error for an answer that is not a stream, with the reason that the answer may give."""
        error: GatewayError = UpstreamError("The upstream provider did not answer with a stream.", code="upstream_protocol_error")
        try:
            self.upstream.wire_format.parse_completion(start + await read_whole(response.body, MAX_ERROR_BYTES))
        except GatewayError as found:
            error = error if found.code == error.code or found.received is not None else found
        error.maybe_billed = True
        self.complete_error(error, response.status)
        return error

    async def _send(self, chat: Chat, options: CallOptions) -> UpstreamResponse:
        """Return the response to a request, which is sent once more without `stream_options` if the upstream refuses these.

        Raises:
            GatewayError: the upstream gives no answer.
        """
        capabilities = self.upstream.capabilities
        if self.habits.refuses_stream_options:
            capabilities = capabilities.without("stream_options")
        try:
            return await self._ask(chat, options, capabilities)
        except InvalidRequestError as error:
            without = capabilities.without("stream_options")
            if capabilities == without or not chat.stream or not _STREAM_OPTIONS.search(f"{error.message} {error.param}"):
                raise
        response = await self._ask(chat, options, without)
        self.habits.refuses_stream_options = True
        return response

    async def _ask(self, chat: Chat, options: CallOptions, capabilities: Capabilities) -> UpstreamResponse:
        key, build = self._next_key(), self.upstream.wire_format.build_request
        cap = self.maximum if chat.cap is None and self.maximum is not None and chat.max_tokens is None else chat.cap
        request = build(self.endpoints[key], capabilities, self.model, chat.fields, cap)
        try:
            return await self._call(request, key, options)
        except GatewayError as error:
            put_in_client_words(error, chat, capabilities.renamed)
            raise

    def _next_key(self) -> int:
        return self.health.next_key() if len(self.endpoints) > 1 else 0

    async def _call(self, request: UpstreamRequest, key: int, options: CallOptions) -> UpstreamResponse:
        """Send a request, which has one of the API keys, and return its response, whose status is that of an answer.

        Raises:
            GatewayError: the upstream gives no answer.
        """
        request.connection, request.caller = options.connection, options.caller
        if options.seconds is not None:
            request.timeouts = request.timeouts.within(options.seconds)
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
