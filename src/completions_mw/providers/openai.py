"""The wire format of OpenAI's chat completions API, which every compatible server speaks too.

Requests are sent as they were validated, and answers are relayed as they were received (docs/contract.md, Requests and Streams). Source:
OpenAI's API reference, https://platform.openai.com/docs/api-reference/chat.
"""

from collections.abc import Mapping
from types import NoneType
from typing import Any, Final

from pydantic_core import from_json, to_json

from completions_mw.errors import UpstreamError
from completions_mw.http import ClientConnection, Timeouts, UpstreamRequest
from completions_mw.providers.base import Completion, Translator
from completions_mw.providers.endpoint import Endpoint, secrets_of
from completions_mw.providers.openai_errors import parse_error, reported_error
from completions_mw.settings import OpenAISettings
from completions_mw.settings.compatible import Capabilities
from completions_mw.sse import DONE, Decoder, Event, ServerSentEvent

__all__ = ["build_endpoint", "build_request", "open_stream", "parse_completion", "parse_error", "parse_event", "stream_content_type"]

stream_content_type: Final = "text/event-stream"
_DICT_OR_NONE: Final = (dict, NoneType)


def build_endpoint(settings: OpenAISettings) -> Endpoint:
    """Return the endpoint of a provider in the settings."""
    secret = settings.api_key.get_secret_value() if settings.api_key else ""
    extra = {name: value.get_secret_value() for name, value in settings.headers.items()}
    headers = {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "authorization": f"Bearer {secret}" if secret else "",
        "openai-organization": settings.organization or "",
        "openai-project": settings.project or "",
        **extra,
    }
    timeouts = settings.timeouts
    return Endpoint(
        url=settings.base_url.rstrip("/") + "/chat/completions",
        headers=tuple((name, value) for name, value in headers.items() if value),
        timeouts=Timeouts(timeouts.connect, timeouts.first_byte, timeouts.between_events, timeouts.total),
        secrets=secrets_of(settings.base_url, (secret, settings.organization or "", settings.project or "", *extra.values())),
    )


def build_request(
    endpoint: Endpoint,
    capabilities: Capabilities,
    model: str,
    fields: Mapping[str, Any],
    max_tokens: int | None = None,
    connection: ClientConnection | None = None,
) -> UpstreamRequest:
    """Return the HTTP request for `fields`. A stream asks for its usage too, unless the upstream does not support `stream_options`."""
    body = {name: value for name, value in fields.items() if name not in capabilities.unsupported}
    body["model"] = model
    if max_tokens is not None:
        body[capabilities.max_tokens] = max_tokens
    timeouts = endpoint.whole_timeouts
    if body.get("stream"):
        timeouts = endpoint.timeouts
        if "stream_options" not in capabilities.unsupported:
            body["stream_options"] = {**body.get("stream_options", {}), "include_usage": True}
    return UpstreamRequest(endpoint.url, endpoint.headers, to_json(body), timeouts=timeouts, connection=connection)


def parse_completion(body: bytes) -> Completion:
    """Return the `chat.completion` object in the body of an answer.

    Raises:
        UpstreamError: the body reports an error, or is not a chat completion.
    """
    try:
        data = from_json(body, allow_inf_nan=False)
    except ValueError:
        raise _unusable() from None
    if not isinstance(data, dict):
        raise _unusable()
    if data.get("error"):
        raise reported_error(data["error"])
    if not data.get("choices") or not _are_choices(data["choices"], "message"):
        raise _unusable()
    return Completion(data, body)


def open_stream(max_event_bytes: int) -> Translator:
    """Return the translator of one streamed answer: server-sent events, each of which is a chunk already."""
    return _Chunks(max_event_bytes)


class _Chunks(Translator):
    __slots__ = ("_decoder",)

    def __init__(self, max_event_bytes: int) -> None:
        super().__init__()
        self._decoder = Decoder(max_event_bytes)

    def _translate(self, piece: bytes, events: list[Event]) -> None:
        for event in self._decoder.feed(piece):
            events.append(parse_event(event))  # noqa: PERF401 - a comprehension would lose the events before a fault


def parse_event(event: ServerSentEvent) -> Event:
    """Return the chunk in a server-sent event, or `DONE`.

    Raises:
        UpstreamError: the event reports an error, or is not a chunk.
    """
    body, name = event
    if body == b"[DONE]":
        return DONE
    # Repeated from `parse_completion`: for each chunk a function call would cost more than the statements themselves.
    try:
        data = from_json(body, allow_inf_nan=False)
    except ValueError:
        raise _unusable() from None
    if not isinstance(data, dict):
        raise _unusable()
    if data.get("error"):
        raise reported_error(data["error"])
    if name == "error" or data.get("object") == "error":
        raise reported_error(data)
    choices = data.get("choices")
    if choices and not _are_choices(choices, "delta"):
        raise _unusable()
    return Event(data, body)


def _are_choices(choices: object, content: str) -> bool:
    if not isinstance(choices, list):
        return False
    for choice in choices:  # noqa: SIM110 - a generator for each chunk would cost as much as all the checks
        if not isinstance(choice, dict) or not isinstance(choice.get(content), _DICT_OR_NONE):
            return False
    return True


def _unusable() -> UpstreamError:
    return UpstreamError("The upstream provider sent an answer that is not a chat completion.", code="upstream_protocol_error")
